//! The little YAML that rules need: mappings whose values are one line, or a block.

use std::fmt::Write as _;

/// A value on one line, in double quotes. JSON's strings are YAML's.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `key: value` on lines of its own, so many spaces in. A value of several lines becomes a block.
pub(crate) fn put(out: &mut String, indent: usize, key: &str, value: &str) {
    let pad = " ".repeat(indent);
    let _infallible = match value.contains('\n') {
        false => writeln!(out, "{pad}{key}: {}", quoted(value)),
        true => {
            let lines = value.lines().map(|line| format!("{pad}  {line}\n"));
            writeln!(out, "{pad}{key}: |-\n{}", lines.collect::<String>().trim_end())
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_quoted_and_several_are_a_block() {
        let mut out = String::new();
        put(&mut out, 2, "expr", "up == 0");
        put(&mut out, 2, "expr", "a{b=\"c\"}\n  and d");
        assert_eq!(out, "  expr: \"up == 0\"\n  expr: |-\n    a{b=\"c\"}\n      and d\n");
    }
}
