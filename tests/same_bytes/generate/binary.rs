//! Prepared statements over the binary protocol.

use harness::Engine;

use super::super::script::{Execution, Step, Value};
use super::Generator;

/// Texts with the number of their parameters.
const STATEMENTS: [(&str, usize); 22] = [
    ("SELECT * FROM kinds ORDER BY id", 0),
    ("SELECT a, b FROM t WHERE id > ? ORDER BY id", 1),
    ("SELECT ?, ?", 2),
    ("SELECT id, a FROM t WHERE a = ? OR b = ? FOR UPDATE", 2),
    ("INSERT INTO t (a, b) VALUES (?, ?)", 2),
    ("UPDATE t SET a = ? WHERE id = ?", 2),
    ("DELETE FROM t WHERE id = ?", 1),
    ("INSERT INTO t (a) VALUES (?) RETURNING id", 1),
    ("CALL results()", 0),
    ("CALL outs(?, ?, ?)", 3),
    ("CALL fails()", 0),
    ("BEGIN", 0),
    ("COMMIT", 0),
    ("SET time_zone = '+04:00'", 0),
    ("SET @x = ?", 1),
    ("SELECT @x", 0),
    ("SELECT 'a' \"b\"", 0),
    ("SELECT no_such_column FROM t", 0),
    ("SELEC 1", 0),
    ("SHOW COLUMNS FROM t", 0),
    ("SELECT 1 / ?", 1),
    ("SELECT DATABASE(), @@time_zone, @@sql_mode", 0),
];

/// Opens a cursor.
const READ_ONLY: u8 = 1;

/// One that can always be prepared and executed.
const PLAIN: usize = 2;

impl Generator {
    /// Prepares, executes, fetches or closes.
    pub(super) fn binary(&mut self) {
        if self.prepared.is_empty() || self.rng.u8(..5) == 0 {
            return self.prepare();
        }
        let slot = self.rng.usize(..self.prepared.len());
        match self.rng.u8(..20) {
            0..13 => self.execute(slot, 0),
            13..15 => self.cursor(slot),
            15 => self.steps.push(Step::Reset(slot)),
            16 => self.steps.push(Step::Close(slot)),
            17 => self.steps.push(Step::Fetch(slot, 2)),
            _ => self.long_data(),
        }
    }

    fn prepare(&mut self) {
        let which = if self.asks { PLAIN } else { self.rng.usize(..STATEMENTS.len()) };
        let (sql, params) = STATEMENTS[which];
        let slot = self.prepared.len();
        self.prepared.push(params);
        self.steps.push(Step::Prepare(slot, self.text(which)));
        if self.rng.bool() {
            self.execute(slot, 0);
            // A server that returned OUT values has changed the types it remembers.
            if self.rng.bool() && !sql.starts_with("CALL") && !self.is_pipelined {
                self.execute_again(slot);
            }
        }
    }

    /// MySQL gives a bare parameter in a result the types that its statement was ever executed with,
    /// on that connection.
    fn text(&self, which: usize) -> String {
        match self.engine {
            Engine::MySql => STATEMENTS[which]
                .0
                .replace("SELECT ?, ?", "SELECT CAST(? AS CHAR(20)), CAST(? AS CHAR(20))"),
            _ => STATEMENTS[which].0.to_owned(),
        }
    }

    fn execute(&mut self, slot: usize, flags: u8) {
        // MySQL 9.7 ends the columns with an OK and sends no rows when a statement that had a cursor
        // is executed without: no client understands that.
        let flags = match self.engine {
            Engine::MySql if self.cursors.contains(&slot) => READ_ONLY,
            _ => flags,
        };
        if flags == READ_ONLY {
            self.cursors.insert(slot);
        }
        let values = self.values(slot, self.prepared[slot]);
        self.steps.push(Step::Execute(Execution { slot, values, types: true, flags }));
    }

    /// Other values of the same types, without sending the types again.
    fn execute_again(&mut self, slot: usize) {
        let Some(Step::Execute(execution)) = self.steps.last().cloned() else { return };
        let values = execution.values.iter().map(|value| self.alike(value)).collect();
        if self.rng.u8(..3) == 0 {
            self.query(Self::read);
        }
        let flags = execution.flags;
        self.steps.push(Step::Execute(Execution { slot, values, types: false, flags }));
    }

    fn cursor(&mut self, slot: usize) {
        self.execute(slot, READ_ONLY);
        for _ in 0..self.rng.usize(..4) {
            let rows = self.rng.u32(1..4);
            self.steps.push(Step::Fetch(slot, rows));
        }
    }

    /// For a fresh statement: a server reads garbage where a number was bound before. On MySQL not for
    /// one that is executed again: it goes on to read values as what was sent ahead.
    fn long_data(&mut self) {
        let takes_some =
            |which: &usize| STATEMENTS[*which].1 > 0 && !STATEMENTS[*which].0.contains("CALL");
        let statements: Vec<_> = (0..STATEMENTS.len()).filter(takes_some).collect();
        let which = statements[self.rng.usize(..statements.len())];
        let params = STATEMENTS[which].1;
        let slot = self.prepared.len();
        if self.engine == Engine::MariaDb {
            self.prepared.push(params);
        }
        self.steps.push(Step::Prepare(slot, self.text(which)));
        let param = self.rng.usize(..params);
        let place = u16::try_from(param).expect("statements of tests have few parameters");
        for part in ["12", "3"].into_iter().take(self.rng.usize(1..3)) {
            self.steps.push(Step::LongData(slot, place, part.into()));
        }
        let mut values = self.values(slot, params);
        values[param] = Value::SentAhead;
        self.steps.push(Step::Execute(Execution { slot, values, types: true, flags: 0 }));
    }

    /// Several rows at once. Only a statement for it may be executed so.
    pub(super) fn bulk(&mut self) {
        if !self.has_bulk {
            return;
        }
        let slot = self.prepared.len();
        self.prepared.push(2);
        self.steps.push(Step::Prepare(slot, "INSERT INTO t (a, b) VALUES (?, ?)".into()));
        let row = |n: i64| vec![Value::Number(n), Value::Text(format!("bulk {n}"))];
        let rows = self.rng.i64(1..4);
        self.steps.push(Step::Bulk(slot, (0..rows).map(row).collect()));
    }

    /// Values for all parameters of a slot. On MySQL each parameter has one type for good, and is
    /// always NULL or never: by the first value that does not suit, MySQL decides how it reads those
    /// that follow, on that connection.
    fn values(&mut self, slot: usize, params: usize) -> Vec<Value> {
        let values: Vec<_> = (0..params).map(|_| self.value()).collect();
        if self.engine == Engine::MariaDb {
            return values;
        }
        let of_slot = |(param, value): (usize, Value)| match (slot + 2 * param) % 7 {
            0 => Value::Null,
            1 => Value::Double(2.5),
            2 | 3 => Value::Text(format!("text {param}")),
            _ => match value {
                Value::Number(number) => Value::Number(number),
                _ => Value::Number(3),
            },
        };
        values.into_iter().enumerate().map(of_slot).collect()
    }

    fn value(&mut self) -> Value {
        match self.rng.u8(..8) {
            0 => Value::Null,
            1 => Value::Double(2.5),
            2..4 => Value::Text(format!("text {}", self.rng.u8(..10))),
            _ => Value::Number(self.number()),
        }
    }

    fn alike(&mut self, value: &Value) -> Value {
        match value {
            Value::Number(_) => Value::Number(self.number()),
            Value::Text(_) => Value::Text("other".into()),
            other => other.clone(),
        }
    }
}
