//! What holds for any bytes.

use proptest::prelude::*;

use super::super::lexer::{Lexer, TokenKind};
use super::super::*;

const PG: Dialect = Dialect::Postgres { standard_conforming_strings: true };

fn digest(sql: &str, dialect: Dialect) -> Digest {
    Statements::new(1).judge(sql.as_bytes(), dialect, &mut Scratch::default()).digest
}

fn dialect() -> impl Strategy<Value = Dialect> {
    let mysql = |(no_backslash_escapes, ansi_quotes)| {
        Dialect::MySql(LexMode { no_backslash_escapes, ansi_quotes })
    };
    let postgres = |standard_conforming_strings| Dialect::Postgres { standard_conforming_strings };
    prop_oneof![any::<(bool, bool)>().prop_map(mysql), any::<bool>().prop_map(postgres)]
}

/// Bytes that mean something, so that random texts reach the interesting places.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "SELECT",
            "FROM",
            "VALUES",
            "IN",
            "(",
            ")",
            ",",
            ";",
            "'",
            "\"",
            "`",
            "\\",
            "/*",
            "*/",
            "/*!",
            "/*M!",
            "-- ",
            "\n",
            "#",
            "@",
            "@@",
            ".",
            "-",
            "+",
            "=",
            "1",
            ".5",
            "e9",
            "0x",
            "x'",
            "_utf8",
            "t",
            "?",
            "NULL",
            "WITH",
            "AS",
            "SET",
            "BEGIN",
            "EXPLAIN",
            "ANALYZE",
            "GET_LOCK(",
            "CREATE",
            "TRIGGER",
            "a='b'",
            "ROW",
            "DELETE",
            "USING",
            "\u{e9}",
            "$",
            "$1",
            "$a$",
            "E'",
            "U&",
            "::",
            "[",
            "]",
            "ARRAY",
            "INTO",
            "TEMP",
            "COPY",
            "PREPARE",
            "SESSION",
            "set_config(",
            "pg_advisory_lock(",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,4}",
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec((fragment(), prop::bool::ANY), 0..40).prop_map(|parts| {
        let parts = parts.into_iter().map(|(part, space)| if space { part + " " } else { part });
        parts.collect()
    })
}

proptest! {
    /// However often a text comes, and whatever came before, it tells the same as when it is read.
    #[test]
    fn a_template_tells_what_it_told_first(
        texts in prop::collection::vec((text(), dialect()), 1..6),
        order in prop::collection::vec(any::<prop::sample::Index>(), 1..20),
    ) {
        let statements = Statements::new(4);
        let (mut scratch, mut expect) = (Scratch::default(), Scratch::default());
        for index in order {
            let (sql, dialect) = index.get(&texts);
            let sql = sql.as_bytes();
            let told = statements.judge_template(sql, *dialect, &mut scratch);
            prop_assert_eq!(told, Statements::new(1).judge(sql, *dialect, &mut expect));
            prop_assert_eq!(scratch.literals(), expect.literals());
            prop_assert_eq!(scratch.begins_otherwise, expect.begins_otherwise);
            prop_assert!(scratch.tags(sql).eq(expect.tags(sql)));
        }
    }
}

/// The tokens of valid statements, with a mark (`\u{1}`) for every literal.
fn statement() -> impl Strategy<Value = Vec<&'static str>> {
    let words = vec![
        "SELECT", "FROM", "WHERE", "VALUES", "IN", "AND", "SET", "LIMIT", "(", ")", ",", "=", "<",
        "-", "*", "t", "u", "c1", "`q`", "@v", "\u{1}", "\u{1}", "\u{1}",
    ];
    prop::collection::vec(prop::sample::select(words), 1..30)
}

fn spell(tokens: &[&str], literal: &str, gap: &str, lower: bool) -> String {
    let spelled = tokens.iter().map(|token| match *token {
        "\u{1}" => literal.to_owned(),
        word if lower && word.len() > 1 => word.to_lowercase(),
        word => word.to_owned(),
    });
    spelled.collect::<Vec<_>>().join(gap)
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_their_end(
        bytes in prop::collection::vec(any::<u8>(), 0..300), dialect in dialect(),
    ) {
        check_any(&bytes, dialect)?;
    }

    #[test]
    fn any_text_is_read_to_its_end(text in text(), dialect in dialect()) {
        check_any(text.as_bytes(), dialect)?;
    }

    #[test]
    fn a_digest_does_not_depend_on_literals_layout_case_or_comments(
        tokens in statement(),
        literal in prop::sample::select(vec!["7", "'it''s'", "1.5e3", "x'00'", "'/*'", "\"a\\\"b\""]),
        gap in prop::sample::select(vec![" ", "\n\t ", " /* gap='x' */ ", " -- gap\n", " # gap\n"]),
        lower: bool,
    ) {
        let plain = spell(&tokens, "0", " ", false);
        let other = spell(&tokens, literal, gap, lower);
        let expect = digest(&plain, Dialect::default());
        prop_assert_eq!(expect, digest(&other, Dialect::default()), "{} / {}", plain, other);
    }

    #[test]
    fn a_digest_of_postgres_does_not_depend_on_them_either(
        tokens in statement(),
        literal in prop::sample::select(vec![
            "7", "'it''s'", "$12", "0x1F", "E'\\''", "$$it's$$", "$a$ $$ $a$", "U&'x'", "'\\'",
        ]),
        gap in prop::sample::select(vec![
            " ", "\n\t ", " /* gap='x' /* y */ ' */ ", " --gap'\n", "/**/",
        ]),
        lower: bool,
    ) {
        let tokens: Vec<_> =
            tokens.iter().map(|token| token.trim_matches(['`', '@'])).collect();
        let plain = spell(&tokens, "0", " ", false);
        let other = spell(&tokens, literal, gap, lower);
        prop_assert_eq!(digest(&plain, PG), digest(&other, PG), "{} / {}", plain, other);
    }

    #[test]
    fn equal_rows_and_items_do_not_change_a_digest(rows in 1_usize..20, items in 1_usize..20) {
        let row = format!("({})", vec!["1"; items].join(", "));
        let values = format!("INSERT INTO t VALUES {}", vec![row.as_str(); rows].join(","));
        let array = row.replace('(', "ARRAY[").replace(')', "]");
        for dialect in [Dialect::default(), PG] {
            let one = digest("INSERT INTO t VALUES (1)", dialect);
            prop_assert_eq!(digest(&values, dialect), one);
            let one = digest("SELECT a IN (1)", dialect);
            prop_assert_eq!(digest(&format!("SELECT a IN {row}"), dialect), one);
        }
        prop_assert_eq!(digest(&array, PG), digest("ARRAY[1]", PG));
    }

    #[test]
    fn a_known_digest_has_one_shape(text in text(), dialect in dialect()) {
        let (statements, scratch) = (Statements::new(4), &mut Scratch::default());
        let first = statements.judge(text.as_bytes(), dialect, scratch);
        let again = statements.judge(text.as_bytes(), dialect, scratch);
        prop_assert_eq!(&first, &again);
    }
}

fn check_any(sql: &[u8], dialect: Dialect) -> Result<(), TestCaseError> {
    let mut end = 0;
    for token in Lexer::new(sql, dialect) {
        prop_assert!(token.span.start >= end && token.span.end > token.span.start);
        end = token.span.end;
        if token.kind != TokenKind::Comment {
            prop_assert!(!token.span.of(sql).is_empty());
        }
    }
    prop_assert!(end as usize <= sql.len());
    let mut scratch = Scratch::default();
    let shape = Statements::new(1).judge(sql, dialect, &mut scratch);
    prop_assert!(shape.text.len() <= 1024);
    prop_assert!(scratch.literals().len() <= LITERALS_MAX);
    let mut last = 0;
    for span in scratch.literals() {
        prop_assert!(last <= span.start && span.start < span.end && span.end as usize <= sql.len());
        last = span.end;
    }
    for (key, _) in scratch.tags(sql) {
        prop_assert!(!key.is_empty());
    }
    Ok(())
}
