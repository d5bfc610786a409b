// Words of one Dockerfile instruction.
//
// The input is one logical line: continuations are joined and comments are
// dropped before it comes here (src/dockerfile/line_reader.h). It comes as
// symbols rather than bytes, so that the escape directive needs no second
// grammar and no predicate (src/dockerfile/syntax.cc makes the symbols):
//
//   U+001B   '\', when '\' is the escape character
//   U+001C   '`', when '`' is the escape character
//   '\'      '\', when it is not
//   U+001D   any byte of a blank that is not ASCII (U+00A0, U+3000, ...)
//   U+007F   any byte of another character that is not ASCII
//   U+0001   U+0000, U+001B, U+001C and U+001D themselves
//
// An instruction is lexed in stages, each a mode: the keyword, its flags, and
// its arguments in the mode that the keyword chose. Arguments that begin with
// '[' are lexed as JSON first; when they are none after all, the driver lexes
// the line again with `json_allowed` off (the reference implementation falls
// back in the same silent way).
lexer grammar DockerfileLexer;

@lexer::members {
 public:
  // The tables are built at the first use, never before main().
  static void LoadTables();
  // Before each line.
  void BeginLine(bool json_allowed) {
    json_allowed_ = json_allowed;
    json_depth_ = 0;
    tokens_ = 0;
  }
  // A token takes hundreds of bytes of memory for what may be two bytes of
  // text.
  struct TooManyTokens {};
  static constexpr size_t kMaxTokens = 4000000;
  std::unique_ptr<antlr4::Token> nextToken() override {
    if (++tokens_ > kMaxTokens) throw TooManyTokens();
    return antlr4::Lexer::nextToken();
  }

 private:
  // What the keyword says about the arguments that follow its flags.
  void Arguments(size_t arguments_mode, bool may_be_json) {
    arguments_mode_ = arguments_mode;
    may_be_json_ = may_be_json;
  }
  // The lexer stands after the first character of the arguments: steps back
  // and goes on in their mode.
  void EnterArguments() {
    _input->seek(_input->index() - 1);
    const bool json = json_allowed_ && may_be_json_ && _input->LA(1) == '[';
    setMode(json ? static_cast<size_t>(Json) : arguments_mode_);
  }
  // The parser recurses once a level, so there is a limit. Deeper text cannot
  // be an array of strings anyway.
  void Deeper() {
    if (++json_depth_ > 200) setType(JSON_OTHER);
  }

  bool json_allowed_ = true;
  bool may_be_json_ = false;
  size_t arguments_mode_ = 0;
  int json_depth_ = 0;
  size_t tokens_ = 0;

 public:
}

@lexer::definitions {
void DockerfileLexer::LoadTables() { static Initializer once; }
}

// ---- The keyword (also the one after ONBUILD).

ADD         : A D D                     { Arguments(Sources, true); } -> mode(Flags) ;
ARG         : A R G                     { Arguments(Pairs, false); } -> mode(Flags) ;
CMD         : C M D                     { Arguments(Rest, true); } -> mode(Flags) ;
COPY        : C O P Y                   { Arguments(Sources, true); } -> mode(Flags) ;
ENTRYPOINT  : E N T R Y P O I N T       { Arguments(Rest, true); } -> mode(Flags) ;
ENV         : E N V                     { Arguments(Pairs, false); } -> mode(Flags) ;
EXPOSE      : E X P O S E               { Arguments(Words, false); } -> mode(Flags) ;
FROM        : F R O M                   { Arguments(Words, false); } -> mode(Flags) ;
HEALTHCHECK : H E A L T H C H E C K     { Arguments(Health, false); } -> mode(Flags) ;
INCLUDE     : I N C L U D E             { Arguments(Rest, false); } -> mode(Flags) ;
LABEL       : L A B E L                 { Arguments(Pairs, false); } -> mode(Flags) ;
MAINTAINER  : M A I N T A I N E R       { Arguments(Rest, false); } -> mode(Flags) ;
ONBUILD     : O N B U I L D             { Arguments(0, false); } -> mode(Flags) ;
RESET       : R E S E T                 { Arguments(Words, false); } -> mode(Flags) ;
RUN         : R U N                     { Arguments(Script, true); } -> mode(Flags) ;
SHELL       : S H E L L                 { Arguments(Rest, true); } -> mode(Flags) ;
STOPSIGNAL  : S T O P S I G N A L       { Arguments(Rest, false); } -> mode(Flags) ;
USER        : U S E R                   { Arguments(Rest, false); } -> mode(Flags) ;
VOLUME      : V O L U M E               { Arguments(Words, true); } -> mode(Flags) ;
WORKDIR     : W O R K D I R             { Arguments(Rest, false); } -> mode(Flags) ;
UNKNOWN     : ~[ \t\u000B\f\r]+         { Arguments(Rest, false); } -> mode(Flags) ;
KEYWORD_BLANK : BLANK+ -> skip ;

fragment BLANK  : [ \t\u000B\f\r] ;
fragment ESCAPE : [\u001B\u001C] ;       // the escape character
fragment BACKSLASH : [\\\u001B] ;        // '\' whatever the escape character is
fragment A : [aA] ; fragment B : [bB] ; fragment C : [cC] ;
fragment D : [dD] ; fragment E : [eE] ; fragment F : [fF] ;
fragment G : [gG] ; fragment H : [hH] ; fragment I : [iI] ;
fragment K : [kK] ; fragment L : [lL] ; fragment M : [mM] ;
fragment N : [nN] ; fragment O : [oO] ; fragment P : [pP] ;
fragment R : [rR] ; fragment S : [sS] ; fragment T : [tT] ;
fragment U : [uU] ; fragment V : [vV] ; fragment W : [wW] ;
fragment X : [xX] ; fragment Y : [yY] ;

// ---- Flags: words that begin with `--`, up to the first other word or `--`.

mode Flags;
END_OF_FLAGS    : '--' -> mode(BeforeArguments) ;
FLAG            : '--' FLAG_NAME+ FLAG_UNTERMINATED?
                | '--' FLAG_UNTERMINATED ;
FLAG_ASSIGN     : '--' FLAG_NAME* '=' -> mode(FlagValue) ;
FLAGS_BLANK     : (BLANK | '\u001D')+ -> skip ;
FIRST_ARGUMENT  : ~[ \t\u000B\f\r\u001D] { EnterArguments(); } -> skip ;

fragment FLAG_NAME : ~[ \t\u000B\f\r='"\u001B\u001C] | ESCAPE . | FLAG_QUOTED ;
fragment FLAG_QUOTED
    : '"' (ESCAPE . | ~["\u001B\u001C])* '"'
    | '\'' (ESCAPE . | ~['\u001B\u001C])* '\''
    ;
// A quote without an end takes the rest. The longest match wins, so that this
// is chosen only when there is no end.
fragment FLAG_UNTERMINATED
    : '"' (ESCAPE . | ~["\u001B\u001C])*
    | '\'' (ESCAPE . | ~['\u001B\u001C])*
    ;

mode FlagValue;
FLAG_VALUE : (FLAG_VALUE_PIECE+ FLAG_UNTERMINATED? | FLAG_UNTERMINATED) -> mode(Flags) ;
FLAG_VALUE_BLANK  : BLANK+ -> skip, mode(Flags) ;
FLAG_VALUE_ESCAPE : ESCAPE -> skip, mode(Flags) ;  // the last character
fragment FLAG_VALUE_PIECE : ~[ \t\u000B\f\r'"\u001B\u001C] | ESCAPE . | FLAG_QUOTED ;

// ---- JSON arrays.

mode Json;
JSON_OPEN   : '[' { Deeper(); } ;
JSON_CLOSE  : ']' { --json_depth_; } ;
JSON_BEGIN  : '{' { Deeper(); } ;
JSON_END    : '}' { --json_depth_; } ;
JSON_COMMA  : ',' ;
JSON_COLON  : ':' ;
JSON_STRING : '"' JSON_CHARACTER* '"' ;
JSON_NUMBER : '-'? ('0' | [1-9] [0-9]*) ('.' [0-9]+)? ([eE] [+\-]? [0-9]+)? ;
JSON_WORD   : 'true' | 'false' | 'null' ;
JSON_BLANK  : [ \t\r]+ -> skip ;
JSON_OTHER  : . ;
fragment JSON_CHARACTER
    : ~["\\\u0000-\u001B\u001E-\u001F]
    | BACKSLASH (["/bfnrt] | BACKSLASH | 'u' HEX HEX HEX HEX)
    ;
fragment HEX : [0-9a-fA-F] ;

// ---- Blank-separated words: FROM, EXPOSE, VOLUME.

mode Words;
WORD        : ~[ \t\u000B\f\r]+ ;
WORDS_BLANK : BLANK+ -> skip ;

// ---- The same with here-documents: ADD, COPY.

mode Sources;
SOURCE_HEREDOC : HEREDOC_WORD -> type(HEREDOC) ;
SOURCE_WORD    : ~[ \t\u000B\f\r]+ -> type(WORD) ;
SOURCES_BLANK  : BLANK+ -> skip ;

// A word of the shell that redirects from a here-document. Quoting here is the
// shell's, with '\' whatever the escape character is.
fragment HEREDOC_WORD : [0-9]* '<<' [ \t]* DELIMITER+ ;
fragment DELIMITER
    : ~[ \t\u000B\f\r<'"\\\u001B]
    | BACKSLASH ~[<]
    | '"' (BACKSLASH ~[<] | ~[<"\\\u001B])* '"'
    | '\'' ~[<']* '\''
    ;

// ---- The shell's text: RUN. Only its here-documents matter here; the words
// are left to the shell.

mode Script;
HEREDOC : HEREDOC_WORD ;
SCRIPT_WORD : SCRIPT_PIECE+ -> skip ;
// The reference implementation finds no here-document at all in a line whose
// quotes do not match.
SCRIPT_UNTERMINATED
    : SCRIPT_PIECE* ('"' (BACKSLASH . | ~["\\\u001B])* | '\'' ~[']*) ;
SCRIPT_BLANK  : BLANK+ -> skip ;
SCRIPT_ESCAPE : BACKSLASH -> skip ;  // the last character
fragment SCRIPT_PIECE
    : ~[ \t\u000B\f\r'"\\\u001B]
    | BACKSLASH .
    | '"' (BACKSLASH . | ~["\\\u001B])* '"'
    | '\'' ~[']* '\''
    | '<<' [ \t]+
    ;

// ---- key=value words: ENV, LABEL, ARG. Quotes and escapes stay in the word
// for expansion.

mode Pairs;
// Splitting at the first '=' is left to the reader: it may be inside quotes.
PAIR_WORD   : PAIR_PIECE+ PAIR_UNTERMINATED? | PAIR_UNTERMINATED ;
// These words are separated by all of Unicode's blanks, unlike others.
PAIRS_BLANK : (BLANK | '\u001D')+ -> skip ;
PAIR_ESCAPE : ESCAPE -> skip ;  // the last character
fragment PAIR_PIECE
    : ~[ \t\u000B\f\r'"\u001B-\u001D]
    | ESCAPE .
    | '"' (ESCAPE . | ~["\u001B\u001C])* '"'
    | '\'' ~[']* '\''
    ;
fragment PAIR_UNTERMINATED
    : '"' (ESCAPE . | ~["\u001B\u001C])*
    | '\'' ~[']*
    ;

// ---- The rest of the line as it stands.

mode Rest;
TEXT : ~[\n]+ ;

// ---- HEALTHCHECK: NONE, or CMD and a command.

mode Health;
HEALTH_NONE  : N O N E                { Arguments(Rest, false); } -> mode(BeforeArguments) ;
HEALTH_CMD   : C M D                  { Arguments(Rest, true); } -> mode(BeforeArguments) ;
HEALTH_OTHER : ~[ \t\u000B\f\r]+      { Arguments(Rest, false); } -> mode(BeforeArguments) ;

// ---- Nothing but arguments may follow.

mode BeforeArguments;
BEFORE_BLANK : (BLANK | '\u001D')+ -> skip ;
BEFORE_FIRST : ~[ \t\u000B\f\r\u001D] { EnterArguments(); } -> skip ;
