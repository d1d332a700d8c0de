//! How times, numbers and what others wrote are shown.

use crate::control::UpstreamStatus;

/// Milliseconds as a person says them: `250ms`, `1.5s`, `3m20s`, `2h05m`, `4d02h`.
pub fn time(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => format!("{ms}ms"),
        1..60 => format!("{}.{}s", seconds, ms % 1000 / 100),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// What others wrote, on one line and without control characters, so that it can neither steer a terminal nor turn
/// the direction of what stands beside it; cut after `width` characters.
pub fn plain(text: &str, width: usize) -> String {
    let clean: String = text.chars().map(|c| if steers(c) { ' ' } else { c }).collect();
    match clean.char_indices().nth(width) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
}

/// Control characters, separators of lines, and the marks and overrides of direction (Unicode, UAX #9).
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Which database a guard is before: where it is, and its version.
pub fn server(upstream: &UpstreamStatus) -> String {
    let version = upstream.server.as_deref().unwrap_or("not reached yet");
    // MariaDB before 11 puts this in front for replicas of MySQL 5.5.
    let version = version.strip_prefix("5.5.5-").unwrap_or(version);
    format!("{} · {}", plain(&upstream.address, 60), plain(version, 32))
}

/// A figure a second: one digit behind the point below ten, else none, thousands apart.
pub fn rate(a_second: f64) -> String {
    if a_second > 0.0 && a_second < 9.95 {
        return format!("{a_second:.1}");
    }
    thousands(a_second.round().max(0.0) as u64)
}

/// A number and what it counts: `1 client`, `2 clients`, `12,345 clients`.
pub fn many(number: u64, what: &str) -> String {
    format!("{} {what}{}", thousands(number), if number == 1 { "" } else { "s" })
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A word of a command as one pastes it into a shell: in quotes unless it is plain.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.,:/=@".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", plain(word, 200).replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (ms, expected) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_550, "1.5s"),
            (200_000, "3m20s"),
            (7_500_000, "2h05m"),
            (352_800_000, "4d02h"),
        ] {
            assert_eq!(time(ms), expected);
        }
    }

    #[test]
    fn what_others_wrote_cannot_steer_the_terminal() {
        assert_eq!(plain("a\u{1b}[31m\nb", 80), "a [31m b");
        assert_eq!(plain("gnp.\u{202e}exe", 80), "gnp. exe");
        assert_eq!(plain("übergroß", 4), "über…");
    }

    #[test]
    fn numbers_are_legible() {
        for (figure, expected) in
            [(0.0, "0"), (0.04, "0.0"), (9.94, "9.9"), (9.96, "10"), (1_234_567.0, "1,234,567")]
        {
            assert_eq!(rate(figure), expected);
        }
        assert_eq!(many(1, "client"), "1 client");
        assert_eq!(many(1200, "client"), "1,200 clients");
    }

    #[test]
    fn a_word_of_a_command_stays_one_word() {
        assert_eq!(quoted("batch"), "batch");
        assert_eq!(quoted("job=mail"), "job=mail");
        assert_eq!(quoted("x; rm -rf '~'"), r"'x; rm -rf '\''~'\'''");
        assert_eq!(quoted(""), "''");
    }
}
