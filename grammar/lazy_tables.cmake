# Takes the static object out of the generated code that builds the tables
# before main(), wanted or not (half a millisecond of every start). The
# grammars define LoadTables(), which builds them at the first use instead.
# Fails when the generator's output no longer looks as expected.
foreach(part Lexer Parser)
  foreach(
    pair "cpp;Dockerfile${part}::Initializer Dockerfile${part}::_init"
    "h;static Initializer _init")
    list(GET pair 0 extension)
    list(GET pair 1 text)
    set(file ${DIR}/Dockerfile${part}.${extension})
    file(READ ${file} before)
    string(REPLACE "${text};" "" after "${before}")
    if(before STREQUAL after)
      message(FATAL_ERROR "${file} has no '${text}'")
    endif()
    file(WRITE ${file} "${after}")
  endforeach()
endforeach()
