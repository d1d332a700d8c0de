//! Moments on the wall, in UTC.

/// Year, month, day, hour, minute and second, by the seconds since 1970.
pub fn civil(unix_seconds: u64) -> [u64; 6] {
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    // From the first of March of the year 0 the days of a year follow one rule, the leap day last;
    // 400 years have 146,097 (Hinnant, "chrono-compatible low-level date algorithms").
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, (month + 2) % 12 + 1);
    let year = era * 400 + year + u64::from(month <= 2);
    [year, month, day, second / 3600, second / 60 % 60, second % 60]
}

/// The id of a recording that began then: `20220627-130030`.
pub fn date_id(unix_seconds: u64) -> String {
    let [year, month, day, hour, minute, second] = civil(unix_seconds);
    format!("{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}")
}

/// Whether a text has the form of such an id.
pub fn is_date_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(date, time)| {
        let digits = |part: &str, count| {
            part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        digits(date, 8) && digits(time, 6)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_moment_in_utc() {
        for (seconds, expected) in [
            (0, "19700101-000000"),
            (951_782_400, "20000229-000000"),
            (1_656_334_830, "20220627-130030"),
            (4_107_542_400, "21000301-000000"),
        ] {
            assert_eq!(date_id(seconds), expected);
            assert!(is_date_id(expected));
        }
        for wrong in
            ["", "7", "20220627", "20220627-13003", "20220627-13003x", "../../20220627-130030"]
        {
            assert!(!is_date_id(wrong), "{wrong}");
        }
    }
}
