//! Messages of the extended protocol.

use wire::postgres::list::Format;

use super::super::script::{Bind, Message, Step, close, describe, fetch, parse, say, series};
use super::{Generator, text};

/// Names of statements and portals.
const NAMES: &[&str] = &["", "", "a", "b", "c"];

impl Generator {
    /// A series up to its Sync.
    pub(super) fn one_series(&mut self) {
        let messages = self.series();
        self.steps.push(series(messages));
    }

    /// Begins a series whose Sync comes later.
    pub(super) fn begin_series(&mut self) {
        self.flush();
        self.is_open = true;
    }

    /// Goes on with the series that was begun, or ends it.
    pub(super) fn go_on_with_series(&mut self) {
        if self.rng.bool() {
            return self.flush();
        }
        self.is_open = false;
        self.steps.push(say([Message::Sync]));
    }

    fn flush(&mut self) {
        let mut messages = self.series();
        messages.push(Message::Flush);
        self.steps.push(Step::Say(messages));
    }

    /// Messages up to a Sync or Flush.
    pub(super) fn series(&mut self) -> Vec<Message> {
        match self.rng.u8(..8) {
            0..4 => self.usual(),
            4 => (0..self.rng.usize(2..4)).flat_map(|_| self.usual()).collect(),
            _ => self.anything(),
        }
    }

    /// What drivers send: a statement is prepared, bound and run.
    fn usual(&mut self) -> Vec<Message> {
        let name = *self.pick(NAMES);
        let (sql, values) = self.parameterized();
        let mut messages = Vec::new();
        if !name.is_empty() && self.rng.bool() {
            messages.push(close('S', name));
        }
        messages.push(parse(name, &own(&sql, name)));
        if self.rng.u8(..4) == 0 {
            messages.push(describe('S', name));
        }
        messages.push(self.bind("", name, values));
        if self.rng.bool() {
            messages.push(describe('P', ""));
        }
        messages.push(fetch("", 0));
        messages
    }

    /// Any messages. A portal is only used behind a Bind of the same series: PostgreSQL 15 itself
    /// crashes when one is used that an error has ended.
    fn anything(&mut self) -> Vec<Message> {
        let mut messages: Vec<Message> = Vec::new();
        for _ in 0..self.rng.usize(..5) {
            let message = self.any();
            let is_bound = |portal: &str| {
                messages.iter().any(|m| matches!(m, Message::Bind(bind) if bind.portal == portal))
            };
            let is_sound = match &message {
                Message::Describe('P', portal) | Message::Execute(portal, _) => is_bound(portal),
                _ => true,
            };
            if is_sound {
                messages.push(message);
            }
        }
        messages
    }

    /// Any message, whether it makes sense or not.
    fn any(&mut self) -> Message {
        let (name, portal) = (*self.pick(NAMES), *self.pick(&["", "p"]));
        match self.rng.u8(..12) {
            0..3 => {
                let sql = match self.rng.bool() {
                    true => self.parameterized().0,
                    false => self.text(),
                };
                parse(name, &own(&sql, name))
            }
            3..6 => {
                let count = self.rng.usize(..2);
                self.bind(portal, name, vec![Some("2".into()); count])
            }
            6 => describe('S', name),
            7 => describe('P', portal),
            8..10 => {
                let rows = *self.pick(&[0, 0, 1, 2]);
                fetch(portal, rows)
            }
            10 => close('S', name),
            _ => close('P', portal),
        }
    }

    fn bind(&mut self, portal: &str, statement: &str, values: Vec<Option<String>>) -> Message {
        let result = if self.rng.u8(..4) == 0 { Format::Binary } else { Format::Text };
        let (portal, statement) = (portal.to_owned(), statement.to_owned());
        Message::Bind(Bind { portal, statement, values, result })
    }

    /// A statement and values for its parameters.
    fn parameterized(&mut self) -> (String, Vec<Option<String>>) {
        if self.rng.u8(..3) == 0 {
            return (self.text(), Vec::new());
        }
        let (sql, values) = *self.pick(text::PARAMETERIZED);
        let values = values.iter().map(|&value| match self.rng.u8(..12) {
            0 => None,
            1 => Some("odd".to_owned()),
            _ => Some(value.to_owned()),
        });
        (sql.to_owned(), values.collect())
    }
}

/// The text, in words that no statement of another name has: of two that are the same, an error may
/// name the other. And not of a table or a PREPARE that comes and goes: prepared anew on another
/// connection, it fails or is described otherwise; nor DEALLOCATE ALL ahead of a name that is taken
/// (docs/ARCHITECTURE.md, "What is open").
fn own(sql: &str, name: &str) -> String {
    let is_avoided = ["made", "EXECUTE", "ALLOCATE ALL"].iter().any(|text| sql.contains(text));
    let sql = if is_avoided { "SELECT 0" } else { sql };
    match name {
        "" => sql.to_owned(),
        name => format!("{sql} /* {name} */"),
    }
}
