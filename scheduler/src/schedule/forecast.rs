//! A forecast as a file: CSV, each line a second from the batch's time on, and the load from then
//! on.

use std::fs;
use std::path::Path;
use std::time::Duration;

use policy::spread::forecast::Forecast;

/// Reads a forecast.
///
/// # Errors
/// With file and line, when something is no forecast.
pub fn read(path: &Path) -> Result<Forecast, String> {
    let name = path.display();
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {name}: {error}"))?;
    parse(&text).map_err(|why| format!("{name}{why}"))
}

/// One line of the file.
struct Row {
    line: usize,
    second: u64,
    load: f64,
}

fn parse(text: &str) -> Result<Forecast, String> {
    let mut rows: Vec<Row> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        // The first line may be a header.
        let is_header = index == 0 && line.starts_with(|c: char| c.is_alphabetic());
        if line.is_empty() || is_header {
            continue;
        }
        rows.push(row(index + 1, line)?);
    }
    let first = rows.first().ok_or(" has no line like \"0,1200\"")?;
    if first.second != 0 {
        let (line, second) = (first.line, first.second);
        return Err(format!(
            ":{line}: the first second is {second}: it has to be 0, the batch's time"
        ));
    }
    let step = rows.get(1).map_or(1, |row| row.second);
    let line = rows.get(1).map_or(1, |row| row.line);
    if step == 0 {
        return Err(format!(":{line}: the second bucket begins with the first"));
    }
    for (bucket, row) in rows.iter().enumerate() {
        let expected = bucket as u64 * step;
        if row.second != expected {
            let (line, second) = (row.line, row.second);
            return Err(format!(
                ":{line}: second {second}: all buckets are as long as the first, so it has to be {expected}"
            ));
        }
    }
    let loads = rows.iter().map(|row| row.load).collect();
    Forecast::new(Duration::from_secs(step), loads).map_err(|error| format!(": {error}"))
}

fn row(line: usize, text: &str) -> Result<Row, String> {
    let form = || format!(":{line}: {text:?} is not SECOND,LOAD like \"60,1350.5\"");
    let (second, load) = text.split_once(',').ok_or_else(form)?;
    let second = second.trim().parse().map_err(|_| form())?;
    let load: f64 = load.trim().parse().map_err(|_| form())?;
    if !load.is_finite() || load < 0.0 {
        return Err(format!(":{line}: the load is {load}: it has to be a number, 0 or above"));
    }
    Ok(Row { line, second, load })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_as_long_as_the_first() {
        let forecast = parse("second,load\n0,10\n60, 20.5 # surge\n\n120,30\n").unwrap();
        assert_eq!(forecast.step(), Duration::from_secs(60));
        assert_eq!(forecast.end(), Duration::from_secs(180));
        assert_eq!(forecast.at(Duration::from_secs(119)), 20.5);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, told) in [
            ("second,load\n", " has no line like \"0,1200\""),
            (
                "0,1\n60,1\n121,1",
                ":3: second 121: all buckets are as long as the first, so it has to be 120",
            ),
            ("0,1\n0,1", ":2: the second bucket begins with the first"),
            ("60,1", ":1: the first second is 60: it has to be 0, the batch's time"),
            ("0,1\n60;2", ":2: \"60;2\" is not SECOND,LOAD like \"60,1350.5\""),
            ("0,-1", ":1: the load is -1: it has to be a number, 0 or above"),
            ("0,NaN", ":1: the load is NaN: it has to be a number, 0 or above"),
        ] {
            assert_eq!(parse(text).unwrap_err(), told, "{text}");
        }
    }
}
