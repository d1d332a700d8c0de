//! Sessions by chance: everything follows from the seed.

#[path = "generate/series.rs"]
mod series;
#[path = "generate/text.rs"]
mod text;

use fastrand::Rng;
use harness::{APP, OTHER};

use super::script::{Message, Step, q, query, say};
use super::world::Session;

/// Steps of a session, at least and at most.
const LENGTH: std::ops::Range<usize> = 15..60;

/// The session of a seed.
pub(crate) fn generate(seed: u64) -> Session {
    let mut rng = Rng::with_seed(seed);
    let account = if rng.u8(..4) == 0 { OTHER } else { APP };
    let path = ("search_path".to_owned(), "$schema".to_owned());
    let parameters = match rng.u8(..4) {
        0 => Vec::new(),
        1 => vec![path],
        2 => vec![("options".to_owned(), "-c search_path=$schema".to_owned())],
        _ => vec![path, ("application_name".to_owned(), format!("session {}", seed % 3))],
    };
    let mut generator = Generator { rng, steps: Vec::new(), is_open: false };
    if parameters.is_empty() {
        generator.steps.push(q("SET search_path TO $schema"));
    }
    let length = generator.rng.usize(LENGTH);
    while generator.steps.len() < length {
        generator.extend();
    }
    Session {
        name: format!("TG_SEED={seed} TG_SESSIONS=1"),
        account,
        parameters,
        steps: generator.steps,
    }
}

/// A session in the making.
struct Generator {
    rng: Rng,
    steps: Vec<Step>,
    /// Whether a series was begun whose Sync is to come.
    is_open: bool,
}

impl Generator {
    /// Adds a step or a few.
    fn extend(&mut self) {
        if self.is_open {
            return self.go_on_with_series();
        }
        match self.rng.u8(..20) {
            0..6 => {
                let sql = self.text();
                self.steps.push(q(&sql));
            }
            6..12 => self.one_series(),
            12 => self.transaction(),
            13 => self.begin_series(),
            14..16 => self.pipeline(),
            16 => self.several_statements(),
            17 => self.copy(),
            18 => self.call(),
            _ => self.look(),
        }
    }

    /// Queries and series in one write.
    fn pipeline(&mut self) {
        let mut messages = Vec::new();
        for _ in 0..self.rng.usize(2..6) {
            if self.rng.bool() {
                let sql = self.text();
                messages.push(query(&sql));
            } else {
                messages.extend(self.series());
                messages.push(Message::Sync);
            }
        }
        self.steps.push(say(messages));
    }

    /// A transaction of a few steps, in order, ended or not.
    fn transaction(&mut self) {
        let begin = self.pick(text::BEGINS);
        self.steps.push(q(begin));
        for _ in 0..self.rng.usize(0..5) {
            match self.rng.u8(..3) {
                0 => self.one_series(),
                _ => {
                    let sql = self.text();
                    self.steps.push(q(&sql));
                }
            }
        }
        let end = self.pick(text::ENDS);
        self.steps.push(q(end));
    }

    /// Several statements in one query. DEALLOCATE ALL is not the last of them: the server does not tell
    /// whether it ran where its COMMIT fails (docs/ARCHITECTURE.md, "What is open").
    fn several_statements(&mut self) {
        let mut texts: Vec<_> = (0..self.rng.usize(2..5)).map(|_| self.text()).collect();
        if texts.last().is_some_and(|last| last == "DEALLOCATE ALL") {
            texts.push("SELECT 0".to_owned());
        }
        self.steps.push(q(&texts.join("; ")));
    }

    /// Data that is copied in, or what comes where it cannot be.
    fn copy(&mut self) {
        let into = *self.pick(&["COPY t (a, b) FROM STDIN", "COPY missing FROM STDIN"]);
        let mut data = Vec::new();
        for _ in 0..self.rng.usize(..4) {
            let line = self.pick(&["80\tx\n", "81\ty\n82\tz\n", "x\tx\n", "83\n"]);
            data.push(super::script::copy_data(line));
        }
        data.push(match self.rng.u8(..4) {
            0 => Message::CopyFail("changed my mind".into()),
            _ => Message::CopyDone,
        });
        self.steps.push(if self.rng.bool() {
            say([query(into)].into_iter().chain(data))
        } else {
            let begin = [super::script::parse("", into), super::script::bind("", &[])];
            let begin = begin.into_iter().chain([super::script::execute("")]);
            super::script::series(begin.chain(data))
        });
    }

    /// A function by its OID: int4pl, or int4div.
    fn call(&mut self) {
        let (function, second) = (*self.pick(&[177, 154]), self.rng.u8(..3));
        self.steps.push(say([Message::Call(function, vec!["6".into(), second.to_string()])]));
    }

    /// What a session can know of itself.
    fn look(&mut self) {
        let sql = self.pick(text::LOOKS);
        self.steps.push(q(sql));
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.rng.usize(..from.len())]
    }
}
