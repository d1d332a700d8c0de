//! The process of a command.

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::Config;
use super::line::{ANSWER_MAX, Answer, told};
use crate::sink::{Fate, Item, Reason, Slice};

/// A process that runs. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    input: ChildStdin,
    output: Output,
}

/// What it writes, line by line.
#[derive(Debug)]
struct Output {
    pipe: BufReader<ChildStdout>,
    /// The beginning of the next line.
    partial: Vec<u8>,
}

/// What came of telling it of items.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) fates: Vec<Fate>,
    /// How many it has answered.
    pub(super) answers: usize,
    /// Whether it may be told more.
    pub(super) is_well: bool,
}

/// What is known of a slice while it is being told.
struct Course {
    fates: Vec<Option<Fate>>,
    /// By id: what it was told and has not answered.
    open: HashMap<String, usize>,
    answers: usize,
}

/// Why it can be told no more, in words.
#[derive(Debug)]
enum Trouble {
    /// It reads nothing more; what it has answered may still be there to be read.
    Deaf(String),
    /// Nothing that it says counts.
    Over(String),
}

impl From<String> for Trouble {
    fn from(words: String) -> Self {
        Self::Over(words)
    }
}

impl Process {
    pub(super) fn start(config: &Config) -> io::Result<Self> {
        let mut child = Command::new(&config.program)
            .args(&config.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let input = child.stdin.take().expect("its input is piped");
        let pipe = BufReader::new(child.stdout.take().expect("its output is piped"));
        Ok(Self { child, input, output: Output { pipe, partial: Vec::new() } })
    }

    /// Itself, unless it has ended while nobody told it anything.
    pub(super) fn still_runs(mut self) -> Option<Self> {
        matches!(self.child.try_wait(), Ok(None)).then_some(self)
    }

    /// Tells it of the items, so many ahead of its answers as it may be, and reads them.
    pub(super) async fn tell(
        &mut self,
        config: &Config,
        slice: Slice<'_>,
        is_expired: impl Fn(&Item) -> bool,
    ) -> Told {
        let fates = vec![None; slice.items.len()];
        let mut course = Course { fates, open: HashMap::new(), answers: 0 };
        let mut trouble = None;
        for (place, item) in slice.items.iter().enumerate() {
            if is_expired(item) {
                course.fates[place] = Some(Fate::Dead(Reason::Expired));
                continue;
            }
            let line = match told(slice.chunk, item) {
                Ok(line) => line,
                Err(why) => {
                    course.fates[place] = Some(Fate::Dead(why));
                    continue;
                }
            };
            let step = async {
                while course.open.len() >= config.in_flight_max.max(1) {
                    self.hear(config, &mut course).await?;
                }
                course.open.insert(slice.chunk.id(item.position).to_string(), place);
                self.write(config, &line, &mut course).await
            };
            if let Err(found) = step.await {
                trouble = Some(found);
                break;
            }
        }
        // What it answered before it took no more counts: nobody is told twice for that.
        while !matches!(trouble, Some(Trouble::Over(_))) && !course.open.is_empty() {
            if let Err(found) = self.hear(config, &mut course).await {
                trouble = Some(found);
            }
        }
        course.close(trouble)
    }

    /// Writes a line, and reads answers meanwhile: it may not read before it has written.
    async fn write(
        &mut self,
        config: &Config,
        line: &[u8],
        course: &mut Course,
    ) -> Result<(), Trouble> {
        let mut writing = pin!(self.input.write_all(line));
        loop {
            let step = async {
                tokio::select! {
                    written = &mut writing => match written {
                        Ok(()) => Ok(None),
                        Err(error) => Err(Trouble::Deaf(error.to_string())),
                    },
                    line = self.output.line() => Ok(Some(line?)),
                }
            };
            match timeout(config.patience, step).await.map_err(|_| silent(config))?? {
                None => return Ok(()),
                Some(line) => course.hear(&line)?,
            }
        }
    }

    /// Reads one answer.
    async fn hear(&mut self, config: &Config, course: &mut Course) -> Result<(), Trouble> {
        let line = timeout(config.patience, self.output.line()).await;
        Ok(course.hear(&line.map_err(|_| silent(config))??)?)
    }

    /// Ends it.
    pub(super) async fn end(mut self) {
        // It may have ended by itself; then there is nothing to be done.
        let _ended = self.child.kill().await;
    }
}

// === impl Output ===

impl Output {
    /// The next line. Dropping it loses nothing.
    async fn line(&mut self) -> Result<Vec<u8>, String> {
        let left = (ANSWER_MAX + 1).saturating_sub(self.partial.len());
        let mut pipe = (&mut self.pipe).take(left as u64);
        let read = pipe.read_until(b'\n', &mut self.partial).await;
        let len = read.map_err(|error| error.to_string())?;
        if self.partial.last() == Some(&b'\n') {
            return Ok(std::mem::take(&mut self.partial));
        }
        Err(match (len, self.partial.len()) {
            (0, 0) => "the command has ended".into(),
            (_, len) if len > ANSWER_MAX => format!("an answer has more than {ANSWER_MAX} bytes"),
            _ => "the command has ended in the middle of an answer".into(),
        })
    }
}

// === impl Course ===

impl Course {
    fn hear(&mut self, line: &[u8]) -> Result<(), String> {
        let answer = Answer::parse(line.trim_ascii_end())?;
        let Some(place) = self.open.remove(&answer.id) else {
            return Err("the command has answered for an item that it was not asked about".into());
        };
        self.fates[place] = Some(answer.fate());
        self.answers += 1;
        Ok(())
    }

    fn close(self, trouble: Option<Trouble>) -> Told {
        let is_well = trouble.is_none();
        let words = trouble.map(|(Trouble::Deaf(words) | Trouble::Over(words))| words);
        let words = words.unwrap_or_default();
        let told: Vec<usize> = self.open.into_values().collect();
        let mut fates = self.fates;
        for place in told {
            fates[place] = Some(Fate::Ambiguous(Reason::Unanswered(words.clone())));
        }
        let unsent = || Fate::Unsent(Reason::Unreachable(words.clone()));
        let fates = fates.into_iter().map(|fate| fate.unwrap_or_else(unsent)).collect();
        Told { fates, answers: self.answers, is_well }
    }
}

fn silent(config: &Config) -> Trouble {
    Trouble::Over(format!("the command has said nothing for {:?}", config.patience))
}
