# Writes INPUT, a binary file, as the C array that proto/descriptors.h declares.
file(READ ${INPUT} bytes HEX)
string(LENGTH "${bytes}" digits)
math(EXPR length "${digits} / 2")
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"proto/descriptors.h\"\n\nconst uint8_t covey_descriptor_set[] = {\n${bytes}\n};\nconst size_t covey_descriptor_set_bytes = ${length};\n")
