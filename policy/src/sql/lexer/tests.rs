use super::super::LexMode;
use super::*;

/// The tokens as `kind:text`, without marks for keywords and signs.
fn lex(sql: &str, dialect: Dialect) -> String {
    let tokens = Lexer::new(sql.as_bytes(), dialect).map(|token| {
        let text = String::from_utf8_lossy(token.span.of(sql.as_bytes())).into_owned();
        match token.kind {
            TokenKind::Keyword(keyword) => keyword.as_str().to_owned(),
            TokenKind::Sign(_) => text,
            TokenKind::Word => format!("w:{text}"),
            TokenKind::Quoted => format!("q:{text}"),
            TokenKind::Literal => format!("l:{text}"),
            TokenKind::Parameter => "p".to_owned(),
            TokenKind::UserVariable => format!("u:{text}"),
            TokenKind::SystemVariable => format!("s:{text}"),
            TokenKind::ExecutableOpen => "{".to_owned(),
            TokenKind::ExecutableClose => "}".to_owned(),
            TokenKind::Comment => format!("c:{text}"),
        }
    });
    tokens.collect::<Vec<_>>().join("|")
}

fn check(sql: &str, expect: &str) {
    assert_eq!(lex(sql, Dialect::default()), expect, "{sql}");
}

#[test]
fn words_and_signs() {
    check("sElEcT a,b FROM t1", "SELECT|w:a|,|w:b|FROM|w:t1");
    check("`a``b`.`c`", "q:`a``b`|.|q:`c`");
    check("db.select", "w:db|.|w:select");
    check("2fa.1st", "w:2fa|.|w:1st");
    check("caf\u{e9}=?", "w:caf\u{e9}|=|p");
    check("", "");
}

#[test]
fn numbers() {
    check("1 1.5 .5 1. 1e5 1.e-5 2E+3 1ex", "l:1|l:1.5|l:.5|l:1.|l:1e5|l:1.e-5|l:2E+3|w:1ex");
    check("0x1F 0b01 0xZZ 0X1F", "l:0x1F|l:0b01|w:0xZZ|w:0X1F");
    check("x'1F' b'01' N'a' X'' xy", "l:x'1F'|l:b'01'|l:N'a'|l:X''|w:xy");
    check(
        "_utf8mb4 'a' _latin1\"b\" _foo _bin 0x1F",
        "l:_utf8mb4 'a'|l:_latin1\"b\"|w:_foo|l:_bin 0x1F",
    );
}

#[test]
fn strings() {
    check("'a''b' \"c\"", "l:'a''b'|l:\"c\"");
    check(r"'a\'b' c", r"l:'a\'b'|w:c");
    check("'never ends", "l:'never ends");
    check("'ends in a backslash\\", "l:'ends in a backslash\\");
    check("`never", "q:`never");
    let raw = Dialect::MySql(LexMode { no_backslash_escapes: true, ansi_quotes: true });
    assert_eq!(lex(r#"'a\' "b""c" @"d""#, raw), r#"l:'a\'|q:"b""c"|u:@"d""#);
}

#[test]
fn variables() {
    check("@a @`b c` @'d' @@e @@session.f", "u:@a|u:@`b c`|u:@'d'|s:@@e|s:@@session.f");
    check("@a:=1", "u:@a|:|=|l:1");
}

#[test]
fn comments() {
    check("a -- b\nc # d\ne/*f*/g", "w:a|c:-- b|w:c|c:# d|w:e|c:/*f*/|w:g");
    check("1--1", "l:1|-|-|l:1");
    check("--", "c:--");
    check("/*+ hint */ /* never ends", "c:/*+ hint */|c:/* never ends");
    check("/*!40001 SQL_NO_CACHE */ * /*M!100100 a*/", "{|SQL_NO_CACHE|}|*|{|w:a|}");
    check("/*! a /* b */ c */", "{|w:a|c:/* b */|w:c|}");
    check("2*/*c*/3 */", "l:2|*|c:/*c*/|l:3|*|/");
}

fn check_postgres(sql: &str, expect: &str) {
    let dialect = Dialect::Postgres { standard_conforming_strings: true };
    assert_eq!(lex(sql, dialect), expect, "{sql}");
}

#[test]
fn postgres_words_and_signs() {
    check_postgres("sElEcT a$b, \"c\"\"D\".select", "SELECT|w:a$b|,|q:\"c\"\"D\"|.|w:select");
    check_postgres("U&\"d\\0061\" u & 'a'", "q:U&\"d\\0061\"|w:u|&|l:'a'");
    check_postgres("a->>'b' #> @ ? `c`", "w:a|-|>|>|l:'b'|#|>|@|?|`|w:c|`");
    check_postgres("a::int4[1:2]", "w:a|:|:|w:int4|[|l:1|:|l:2|]");
    check_postgres("_utf8 'a' @@b.e'c'", "w:_utf8|l:'a'|@|@|w:b|.|l:e'c'");
}

#[test]
fn postgres_numbers_and_parameters() {
    check_postgres("1_000 1.5_0 .5 1. 1e5 2E+3", "l:1_000|l:1.5_0|l:.5|l:1.|l:1e5|l:2E+3");
    check_postgres("0x1F 0o17 0b1_0 0xZZ", "l:0x1F|l:0o17|l:0b1_0|l:0|w:xZZ");
    check_postgres("1FROM 1e", "l:1|FROM|l:1|w:e");
    check_postgres("$1 $12a $ $a", "p|p|w:a|$|$|w:a");
}

#[test]
fn postgres_strings() {
    check_postgres(
        r"'a\' E'b\'c' e'' X'1F' b'0' N'd'",
        r"l:'a\'|l:E'b\'c'|l:e''|l:X'1F'|l:b'0'|l:N'd'",
    );
    check_postgres("'a'\n'b' 'c' 'd'", "l:'a'\n'b'|l:'c'|l:'d'");
    check_postgres("E'a' -- x\n 'b\\'' c", "l:E'a' -- x\n 'b\\''|w:c");
    check_postgres("'a' -- never ends", "l:'a'|c:-- never ends");
    check_postgres("$$a'$b$$ $x$ $$ $x$ $x$never", "l:$$a'$b$$|l:$x$ $$ $x$|l:$x$never");
    check_postgres("a$$b$$", "w:a$$b$$");
}

#[test]
fn postgres_comments() {
    check_postgres("a--b\nc/* d /* e */ f */g", "w:a|c:--b|w:c|c:/* d /* e */ f */|w:g");
    check_postgres("/*! a */ /*/*/ never", "c:/*! a */|c:/*/*/ never");
    check_postgres("a*/b", "w:a|*|/|w:b");
}
