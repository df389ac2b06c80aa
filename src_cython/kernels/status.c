#include "status.h"

#include <errno.h>
#include <stdio.h>

int fp_fail(fp_outcome *outcome, int status, int64_t row, uint64_t offset, const char *message) {
    outcome->status = status;
    outcome->error_number = status == FP_IO_ERROR ? errno : 0;
    outcome->row = row;
    outcome->offset = offset;
    snprintf(outcome->message, sizeof outcome->message, "%s", message);
    return status;
}
