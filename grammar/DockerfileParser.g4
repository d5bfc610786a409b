// The shape of one Dockerfile instruction: which words it is made of. What the
// words mean, and which of them are wrong, is for src/dockerfile/ast_builder.cc,
// which can say it better than a syntax error: hence the rules are lenient
// (every instruction takes any flag, arguments may be missing, an unknown
// keyword is a rule of its own).
parser grammar DockerfileParser;

options { tokenVocab = DockerfileLexer; }

@parser::members {
  // The tables are built at the first use, never before main().
  static void LoadTables();
}

@parser::definitions {
void DockerfileParser::LoadTables() { static Initializer once; }
}

// A logical line.
line : instruction EOF ;

instruction
    : onbuild
    | plain
    ;

plain
    : FROM flags words
    | RUN flags (execForm | script)
    | (CMD | ENTRYPOINT | SHELL) flags (execForm | text)
    | (COPY | ADD) flags (execForm | sources)
    | VOLUME flags (execForm | words)
    | (EXPOSE | RESET) flags words
    | (ENV | LABEL | ARG) flags pairs
    | (MAINTAINER | USER | WORKDIR | STOPSIGNAL | INCLUDE) flags text
    | HEALTHCHECK flags healthcheck
    | UNKNOWN flags text
    ;

// ONBUILD INSTRUCTION. A chain is refused by meaning, not by shape, and must
// not recurse: the second ONBUILD ends the rule.
onbuild : ONBUILD flags trigger ;
trigger
    : plain
    | ONBUILD .*?
    | /* nothing */
    ;

flags : flag* END_OF_FLAGS? ;
flag
    : FLAG
    | FLAG_ASSIGN FLAG_VALUE?
    ;

// ["executable", "argument"]. Valid JSON with anything but strings in it is an
// error of its own, so the grammar takes all of JSON.
execForm : jsonArray ;
jsonArray  : JSON_OPEN (jsonValue (JSON_COMMA jsonValue)*)? JSON_CLOSE ;
jsonObject : JSON_BEGIN (jsonMember (JSON_COMMA jsonMember)*)? JSON_END ;
jsonMember : JSON_STRING JSON_COLON jsonValue ;
jsonValue  : JSON_STRING | JSON_NUMBER | JSON_WORD | jsonArray | jsonObject ;

// The shell's text; its here-documents are the words that the lexer reports.
script : (HEREDOC | SCRIPT_UNTERMINATED)* ;
// SOURCE... DESTINATION
sources : (WORD | HEREDOC)* ;
words : WORD* ;
// KEY=VALUE..., ARG also KEY; the old form KEY VALUE of ENV and LABEL.
pairs : PAIR_WORD* ;
text : TEXT? ;

healthcheck
    : HEALTH_NONE text
    | HEALTH_CMD (execForm | text)
    | HEALTH_OTHER text
    | /* nothing */
    ;
