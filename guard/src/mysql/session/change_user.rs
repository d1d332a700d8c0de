//! `COM_CHANGE_USER`: the client logs in again, on the connection that it has.
//!
//! Whatever comes of it, the session's state is gone. A client that is refused stays who it was on
//! MariaDB, and is heard [`FAILURES_MAX`] times; MySQL hangs up.

use std::sync::Arc;

use bytes::BytesMut;
use wire::mysql::{
    frame::HEADER_LEN,
    response::{OkPacket, SessionState, Status, put_err, put_ok},
};

use super::{End, Session, client::First, refuse, settings::Settings};
use crate::mysql::{chosen::is_forgotten_by_reset, login};

/// Attempts that may fail on one connection, as on MariaDB; further ones are an unknown command.
const FAILURES_MAX: u8 = 3;

impl Session {
    pub(super) async fn change_user(&mut self, first: First) -> Result<(), End> {
        let payload = self.client.inbuf[HEADER_LEN..first.packet].to_vec();
        self.client.consume(first.packet);
        self.forget_state().await;
        if self.failed_changes >= FAILURES_MAX {
            self.say_error(refuse::too_many_changes());
            return Ok(());
        }
        let changed = login::change_user(
            &mut self.client.stream,
            &mut self.client.inbuf,
            &payload,
            self.client.capabilities,
            self.challenge,
            &self.door.login,
        );
        match changed.await {
            Ok(changed) => self.adopt(changed).await,
            Err(error) if error.is_refusal() => self.stay(),
            Err(_) => Err(End::Told("COM_CHANGE_USER failed")),
        }
    }

    /// Goes on as it was after a change that was refused, where the database would.
    fn stay(&mut self) -> Result<(), End> {
        if !self.mariadb {
            return Err(End::Told("COM_CHANGE_USER was refused"));
        }
        self.failed_changes += 1;
        Ok(())
    }

    /// Becomes the session of the account that the client proved to be.
    async fn adopt(&mut self, changed: login::Changed) -> Result<(), End> {
        self.go_home().await;
        let capabilities = self.client.capabilities;
        let charset = changed.charset.unwrap_or(self.charset);
        let pool = self.shared.pool_of(&changed.account, capabilities, charset);
        if let Some(schema) = &changed.database
            && let Err(error) = pool.check_schema(schema).await
        {
            let error = refuse::not_leased(&error);
            let message = error.message.as_bytes();
            let out = self.client.out();
            put_err(out, changed.seq, capabilities, error.code, &error.sqlstate, message);
            self.client.flush().await?;
            return self.stay();
        }
        self.pool = pool;
        self.charset = charset;
        self.user = changed.user;
        self.challenge = changed.challenge;
        let multi_statements = self.settings.multi_statements;
        let mut settings = Settings::new(changed.database.as_deref(), multi_statements);
        // Of a login's choices MariaDB makes all again but one.
        settings.is_reset = self.mariadb && is_forgotten_by_reset(true, capabilities);
        self.initial = Arc::new(settings);
        self.settings = Arc::clone(&self.initial);
        // The server tells the schema that it has selected, as it does for COM_INIT_DB.
        let mut selected = BytesMut::new();
        if let Some(schema) = &changed.database {
            SessionState::put_schema(&mut selected, schema);
        }
        let ok = OkPacket {
            status: Status::AUTOCOMMIT,
            info: &changed.info,
            state: SessionState::new(&selected),
            ..OkPacket::default()
        };
        put_ok(self.client.out(), changed.seq, capabilities, &ok);
        Ok(())
    }
}
