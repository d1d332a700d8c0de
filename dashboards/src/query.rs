//! PromQL with the words that every panel repeats left out.
//!
//! In braces, `@` stands for the guards, and `%` for the schedulers, that are chosen at the top of a board;
//! in brackets, `@` for the time that a rate is taken over: `rate(guard_sheds_total{@}[@])`.

/// The guards that were chosen.
const GUARDS: &str = r#"job=~"$job",instance=~"$instance""#;
/// The schedulers of the same databases, whatever instances of guards were chosen.
const SCHEDULERS: &str = r#"job=~"$job""#;

/// Puts the words in.
#[must_use]
pub fn spelled_out(query: &str) -> String {
    query
        .replace("{@", &format!("{{{GUARDS}"))
        .replace("{%", &format!("{{{SCHEDULERS}"))
        .replace("[@]", "[$__rate_interval]")
}

/// A quantile of a histogram of the guard, by these labels beside `le`; matchers end with a comma where there are any.
#[must_use]
pub fn quantile(q: &str, histogram: &str, by: &str, matchers: &str) -> String {
    let by = if by.is_empty() { "le".to_owned() } else { format!("{by}, le") };
    format!("histogram_quantile({q}, sum by ({by}) (rate({histogram}_bucket{{@{matchers}}}[@])))")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_panel_repeats_is_put_in() {
        assert_eq!(
            spelled_out(r#"rate(guard_sheds_total{@,class="a"}[@]) > scheduler_ready{%}"#),
            "rate(guard_sheds_total{job=~\"$job\",instance=~\"$instance\",class=\"a\"}[$__rate_interval]) \
             > scheduler_ready{job=~\"$job\"}"
        );
    }

    #[test]
    fn a_quantile_keeps_the_buckets() {
        assert_eq!(
            quantile("0.99", "guard_service_seconds", "class", ""),
            "histogram_quantile(0.99, sum by (class, le) (rate(guard_service_seconds_bucket{@}[@])))"
        );
    }
}
