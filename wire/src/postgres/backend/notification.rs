use bytes::{BufMut, BytesMut};

use super::super::frame::{put_nul_bytes, write_message};
use super::Kind;
use crate::{Malformed, Reader};

/// What a session that listens is told.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-NOTIFICATIONRESPONSE>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotificationResponse<'a> {
    /// The backend that ran NOTIFY.
    pub process: u32,
    /// On which channel.
    pub channel: &'a [u8],
    /// With which text, perhaps none.
    pub payload: &'a [u8],
}

impl<'a> NotificationResponse<'a> {
    /// Reads the body of a NotificationResponse.
    ///
    /// # Errors
    /// When it is cut short or goes on behind its end.
    pub fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("NotificationResponse", body);
        let notification = Self {
            process: reader.u32_be()?,
            channel: reader.nul_bytes()?,
            payload: reader.nul_bytes()?,
        };
        reader.end()?;
        Ok(notification)
    }
}

/// Appends a NotificationResponse.
pub fn put_notification(out: &mut BytesMut, notification: &NotificationResponse<'_>) {
    write_message(out, Kind::NotificationResponse.byte(), |out| {
        out.put_u32(notification.process);
        put_nul_bytes(out, notification.channel);
        put_nul_bytes(out, notification.payload);
    });
}
