#include <stddef.h>
#include <stdlib.h>

/* Reads one byte behind an allocation. AddressSanitizer ends the program here, if this file was compiled with it. */
int kms_fuzz_out_of_bounds(size_t len)
{
    volatile unsigned char *bytes = calloc(len, 1);
    int byte = bytes == NULL ? 0 : bytes[len];
    free((void *)bytes);
    return byte;
}
