//! `tidegate schedule`: what is due when, and what is due together; and how far schedules are.

mod standing;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use clap::{Args, Subcommand, ValueEnum};
use guard::config::value::parse_duration;
use jiff::{SignedDuration, Timestamp};
use scheduler::book::{Entry, read_crontab, read_file};
use scheduler::lint::{Collision, Proposal, collisions, proposals};
use serde_json::{Value, json};

use self::standing::{Named, Status};
use crate::exit::Failure;
use crate::show::{Table, plain, print};

/// Show what a file of schedules, or a crontab, is due at; pause and resume those that schedulers run.
///
/// Exit code 1 when `lint` finds something; 2 when the file cannot be read as what
/// it is said to be.
#[derive(Debug, Args)]
pub(crate) struct Schedule {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the schedules, and when each is due next.
    List(Book),
    /// List all moments, in order: also across the hours that a clock skips or has twice.
    Preview(Preview),
    /// Find what is due in the same minute, and say where it could be instead.
    Lint(Lint),
    Status(Status),
    /// Have nothing more of a schedule fired, by any scheduler, until it is resumed.
    Pause(Named),
    /// Go on with a schedule that was paused, from now on.
    Resume(Named),
}

/// The file, and from when on.
#[derive(Debug, Args)]
struct Book {
    /// A TOML file with a `[[schedule]]` for each, or a crontab.
    file: PathBuf,
    /// What the file is. Default: by its name, .toml or else a crontab.
    #[arg(long, value_enum)]
    form: Option<Form>,
    /// From when on, for example 2026-03-29T00:00:00Z or with an offset. Default: now.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Timestamp>,
    /// Print JSON, and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Our own.
    Toml,
    /// As `crontab -l` shows it: five fields and a command.
    Crontab,
}

#[derive(Debug, Args)]
struct Preview {
    #[command(flatten)]
    book: Book,
    /// How far to look.
    #[arg(long = "for", value_name = "DURATION", default_value = "24h", value_parser = parse_duration)]
    length: Duration,
    /// No more moments than this.
    #[arg(long, default_value_t = 50, value_name = "MOMENTS")]
    most: usize,
}

#[derive(Debug, Args)]
struct Lint {
    #[command(flatten)]
    book: Book,
    /// How far to look.
    #[arg(long = "for", value_name = "DURATION", default_value = "24h", value_parser = parse_duration)]
    length: Duration,
    /// So many in one minute are too many.
    #[arg(long, default_value_t = 3, value_name = "SCHEDULES", value_parser = clap::value_parser!(u32).range(2..))]
    least: u32,
    /// The window after their time that they may be spread over.
    #[arg(long, default_value = "15m", value_name = "DURATION", value_parser = parse_duration)]
    window: Duration,
}

impl Schedule {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self.action {
            Action::List(book) => book.list(),
            Action::Preview(preview) => preview.run(),
            Action::Lint(lint) => lint.run(),
            Action::Status(status) => status.run(),
            Action::Pause(named) => named.pause(true),
            Action::Resume(named) => named.pause(false),
        }
    }
}

impl Book {
    fn read(&self) -> Result<Vec<Entry>, Failure> {
        let name = self.file.display();
        let text = fs::read_to_string(&self.file)
            .map_err(|error| Failure::Usage(format!("cannot read {name}: {error}")))?;
        let read = match self.form.unwrap_or(Form::of(&self.file)) {
            Form::Toml => read_file(&text),
            Form::Crontab => read_crontab(&text),
        };
        read.map_err(|error| Failure::Usage(format!("{name}: {error}")))
    }

    fn from(&self) -> Timestamp {
        self.from.unwrap_or_else(Timestamp::now)
    }

    fn list(&self) -> Result<(), Failure> {
        let (entries, from) = (self.read()?, self.from());
        if self.json {
            return show(&entries.iter().map(|entry| listed(entry, from)).collect());
        }
        let mut table = Table::new(&[">line", "name", "due", "zone", "spread", "next"]);
        for entry in &entries {
            let next = entry.schedule.next(from);
            table.row([
                entry.line.to_string(),
                plain(&entry.name, 40),
                entry.text.clone(),
                zone(entry),
                entry.spread.map_or("at once".into(), |spread| format!("{}s", spread.as_secs())),
                next.map_or("never".into(), |next| wall(entry, next)),
            ]);
        }
        Ok(print(&table.show("no schedules"))?)
    }
}

impl Form {
    fn of(file: &Path) -> Self {
        match file.extension().is_some_and(|extension| extension == "toml") {
            true => Self::Toml,
            false => Self::Crontab,
        }
    }
}

impl Preview {
    fn run(self) -> Result<(), Failure> {
        let (entries, from) = (self.book.read()?, self.book.from());
        let until = later(from, self.length)?;
        let mut moments: Vec<(Timestamp, usize)> = Vec::new();
        for (place, entry) in entries.iter().enumerate() {
            let due = entry.schedule.between(from, until, self.most);
            moments.extend(due.map(|moment| (moment, place)));
        }
        moments.sort_unstable();
        let left_off = moments.len().saturating_sub(self.most);
        moments.truncate(self.most);
        if self.book.json {
            let told = |(moment, place): &(Timestamp, usize)| {
                let entry = &entries[*place];
                json!({ "at": moment.to_string(), "wall": wall(entry, *moment), "name": entry.name })
            };
            return show(&moments.iter().map(told).collect());
        }
        let mut table = Table::new(&["utc", "on its clock", "name"]);
        for (moment, place) in &moments {
            let entry = &entries[*place];
            table.row([moment.to_string(), wall(entry, *moment), plain(&entry.name, 40)]);
        }
        print(&table.show("nothing is due"))?;
        if left_off > 0 {
            eprintln!("there are more: --most shows them");
        }
        Ok(())
    }
}

impl Lint {
    fn run(self) -> Result<(), Failure> {
        let (entries, from) = (self.book.read()?, self.book.from());
        let until = later(from, self.length)?;
        let found = collisions(&entries, from, until, self.least as usize);
        let proposed = proposals(&entries, &found, self.window);
        match self.book.json {
            true => show(&reported(&entries, &found, &proposed))?,
            false => print(&report(&entries, &found, &proposed))?,
        }
        match found.len() {
            0 => Ok(()),
            1 => Err(Failure::Failed(anyhow!("schedules collide in one minute"))),
            several => Err(Failure::Failed(anyhow!("schedules collide in {several} ways"))),
        }
    }
}

fn report(entries: &[Entry], found: &[Collision], proposed: &[Proposal]) -> String {
    if found.is_empty() {
        return format!("{} schedules, no collision\n", entries.len());
    }
    let mut text = String::new();
    for collision in found {
        let (due, times) = (collision.entries.len(), collision.times);
        text += &format!("{due} begin at {}, {times} times like this:\n", collision.first);
        for place in &collision.entries {
            let entry = &entries[*place];
            text += &format!("  line {}: {}  {}\n", entry.line, entry.text, plain(&entry.name, 40));
        }
    }
    if !proposed.is_empty() {
        text += "spread by minutes, in the order of the file:\n";
    }
    for proposal in proposed {
        let entry = &entries[proposal.entry];
        let instead = match &proposal.cron {
            Some(cron) => format!("{} -> {cron}", entry.text),
            None => format!("{} -> {}s later", entry.text, proposal.later.as_secs()),
        };
        text += &format!("  line {}: {instead}  {}\n", entry.line, plain(&entry.name, 40));
    }
    text + "one that has many items is spread by itself: tidegate batch plan\n"
}

fn reported(entries: &[Entry], found: &[Collision], proposed: &[Proposal]) -> Value {
    let lines = |places: &[usize]| places.iter().map(|place| entries[*place].line).collect();
    let collision = |found: &Collision| {
        let lines: Vec<usize> = lines(&found.entries);
        json!({ "first": found.first.to_string(), "times": found.times, "lines": lines })
    };
    let proposal = |proposal: &Proposal| {
        let seconds = proposal.later.as_secs();
        json!({ "line": entries[proposal.entry].line, "later_seconds": seconds, "cron": proposal.cron })
    };
    json!({
        "collisions": found.iter().map(collision).collect::<Vec<_>>(),
        "proposals": proposed.iter().map(proposal).collect::<Vec<_>>(),
    })
}

fn listed(entry: &Entry, from: Timestamp) -> Value {
    json!({
        "line": entry.line,
        "name": entry.name,
        "cron": entry.text,
        "zone": zone(entry),
        "spread_seconds": entry.spread.map(|spread| spread.as_secs()),
        "next": entry.schedule.next(from).map(|next| next.to_string()),
    })
}

fn show(told: &Value) -> Result<(), Failure> {
    Ok(print(&format!("{told:#}\n"))?)
}

/// A moment as the schedule's own clock shows it.
fn wall(entry: &Entry, moment: Timestamp) -> String {
    let shown = moment.to_zoned(entry.schedule.zone.clone());
    shown.strftime("%Y-%m-%d %H:%M:%S %:z").to_string()
}

fn zone(entry: &Entry) -> String {
    entry.schedule.zone.iana_name().unwrap_or("UTC").to_owned()
}

fn later(from: Timestamp, length: Duration) -> Result<Timestamp, Failure> {
    let length = SignedDuration::try_from(length).ok();
    let until = length.and_then(|length| from.checked_add(length).ok());
    until.ok_or_else(|| Failure::Usage("--for: it ends after the year 9999".into()))
}

fn moment(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "a time like 2026-03-29T00:00:00Z".to_owned())
}
