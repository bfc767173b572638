# cmake -DINPUT=file -DOUTPUT=file.c -DNAME=symbol -P embed.cmake: a file's bytes as a C array.
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1,\n" bytes "${hex}")
file(WRITE ${OUTPUT} "#include <stddef.h>
#include <stdint.h>
extern const uint8_t ${NAME}[];
extern const size_t ${NAME}_bytes;
const uint8_t ${NAME}[] = {
${bytes}};
const size_t ${NAME}_bytes = sizeof ${NAME};
")
