//! A command, and what was found out about it before it is carried out.

use std::sync::Arc;

use policy::{
    admission::About,
    class::{ClassId, Mode},
    refusal::Refusal,
    sql::{Effects, Kind, Shape},
};
use wire::mysql::command::Command;

use super::client::First;
use crate::mysql::texts::Text;

/// A command on its way to the database.
#[derive(Debug)]
pub struct Task {
    /// Which command.
    pub command: Command,
    /// Its first packet, whole at the front of the client's buffer.
    pub first: First,
    /// What it does.
    pub shape: Arc<Shape>,
    /// Whose limits it falls under.
    pub class: ClassId,
    /// What is known of the work that it begins.
    pub about: About,
    /// A switch that turns it off, or in mode observe would.
    pub switch: Option<Box<(Mode, Refusal)>>,
    /// The literal name it is about.
    pub subject: Option<Box<[u8]>>,
    /// SQL that it carries as a value.
    pub carried: Carried,
    /// What it has to do with prepared statements.
    pub execution: Execution,
}

/// What a command has to do with prepared statements.
#[derive(Debug)]
pub enum Execution {
    /// Nothing.
    Direct,
    /// It makes one.
    Prepare {
        /// What is prepared.
        text: Arc<Text>,
    },
    /// It uses one.
    Prepared {
        /// The client's id.
        id: u32,
        /// What was prepared.
        text: Arc<Text>,
        /// Whether rows stay in a cursor.
        opens_cursor: bool,
    },
}

/// SQL that a statement carries as a value, and runs or prepares.
#[derive(Debug)]
pub enum Carried {
    /// None.
    Nothing,
    /// It cannot be read.
    Hidden,
    /// It does this.
    Text(Arc<Shape>),
}

impl Carried {
    /// Whether it surely leaves nothing behind in its session that no tracker tells, and that is not
    /// known otherwise ([`Task::tells_id`]).
    pub fn leaves_nothing(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Hidden => false,
            Self::Text(shape) => {
                let known = Effects::USER_VARIABLE | Effects::CONNECTION_ID;
                shape.kind.touches_data_alone() && shape.effects.without(known).is_empty()
            }
        }
    }
}

impl Task {
    /// A command that has nothing to do with prepared statements, in the default class.
    pub fn plain(command: Command, first: First, shape: Arc<Shape>) -> Self {
        Self {
            command,
            first,
            about: About { digest: shape.digest, ..About::default() },
            shape,
            class: ClassId::DEFAULT,
            switch: None,
            subject: None,
            carried: Carried::Nothing,
            execution: Execution::Direct,
        }
    }

    /// What works on tables: of one that is only prepared, too, for the server opens its tables.
    pub fn worked_on(&self) -> &Shape {
        match &self.execution {
            Execution::Prepare { text } => &text.shape,
            Execution::Direct | Execution::Prepared { .. } => &self.shape,
        }
    }

    /// Whether it executes a prepared statement and leaves the rows in a cursor.
    pub fn opens_cursor(&self) -> bool {
        matches!(self.execution, Execution::Prepared { opens_cursor: true, .. })
    }

    /// Whether it tells the client the server's id of its connection.
    pub fn tells_id(&self) -> bool {
        let asks = |shape: &Shape| shape.effects.contains(Effects::CONNECTION_ID);
        asks(&self.shape) || matches!(&self.carried, Carried::Text(shape) if asks(shape))
    }

    /// Whether it ends a transaction and does nothing else. MySQL refuses to do that with a cursor.
    pub fn is_plain_end(&self) -> bool {
        matches!(self.shape.kind, Kind::Commit | Kind::Rollback)
            && !self.opens_cursor()
            && !self.shape.effects.intersects(Effects::CHAINS | Effects::MULTI)
    }
}
