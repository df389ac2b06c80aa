/* Lists the members of a tar file: ustar, pax and GNU's long names (POSIX.1-2017, pax; GNU tar
   manual, "Basic Tar Format"). */
#ifndef FASTPACK_TAR_H
#define FASTPACK_TAR_H
#include "feature_table.h"
#include "span.h"

#define FP_TAR_BLOCK 512

/* A regular file that belongs to a sample. The last part of its name has a dot that is not its
   first character. */
typedef struct {
    uint64_t offset;      /* of its bytes in the archive */
    uint64_t size;
    uint64_t name_offset; /* in the names; the part before the dot is the sample's key */
    uint32_t key_length;
    int32_t suffix;       /* the lower-case ending after the dot, as a number */
    int64_t sample;       /* consecutive members with the same key are one sample */
} fp_member;

typedef struct {
    fp_member *own_members;
    size_t num_members;
    size_t member_capacity;
    uint8_t *own_names;
    size_t names_length;
    size_t names_capacity;
    int64_t num_passed_over; /* regular files that belong to no sample */
    fp_features suffixes;
} fp_members;

void fp_members_free(fp_members *members);
/* Lists all members of a file of `size` bytes. On failure, outcome->row is the number of the
   member. */
int fp_list_members(int fd, uint64_t size, fp_members *members, fp_outcome *outcome);
/* True if the FP_TAR_BLOCK bytes are a valid header. */
int fp_is_tar_header(const uint8_t *block);
#endif
