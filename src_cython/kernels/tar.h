/* The members of a tar file, header by header: ustar, pax and GNU's long names (POSIX.1-2017, pax; GNU tar manual,
   "Basic Tar Format"). */
#ifndef FASTPACK_TAR_H
#define FASTPACK_TAR_H
#include "feature_table.h"
#include "span.h"

#define FP_TAR_BLOCK 512

/* A plain file in the archive that belongs to a sample: its name has a dot, behind something, in its last part. */
typedef struct {
    uint64_t offset;      /* of its bytes in the archive */
    uint64_t size;
    uint64_t name_offset; /* among the names; the part before the dot is the sample's key */
    uint32_t key_length;
    int32_t suffix;       /* which of the suffixes, in lower case, is behind the dot */
    int64_t sample;       /* neighbours of one key are one sample */
} fp_member;

typedef struct {
    fp_member *own_members;
    size_t num_members;
    size_t member_capacity;
    uint8_t *own_names;
    size_t names_length;
    size_t names_capacity;
    int64_t num_passed_over; /* plain files that belong to no sample */
    fp_features suffixes;
} fp_members;

void fp_members_free(fp_members *members);
/* Lists all members of the file, of `size` bytes; outcome->row is the number of the member. */
int fp_list_members(int fd, uint64_t size, fp_members *members, fp_outcome *outcome);
/* True when the FP_TAR_BLOCK bytes are a sound header. */
int fp_is_tar_header(const uint8_t *block);
#endif
