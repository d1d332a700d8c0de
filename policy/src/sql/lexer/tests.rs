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
