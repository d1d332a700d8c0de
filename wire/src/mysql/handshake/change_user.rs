use super::{Capabilities, ConnectAttributes, Malformed, Reader};

/// COM_CHANGE_USER: the client logs in again on the same connection.
/// <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_change_user.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeUser<'a> {
    /// Who wants to log in.
    pub user: &'a [u8],
    /// The proof, over the scramble that the connection used last.
    pub auth: &'a [u8],
    /// The database to begin in; empty for none.
    pub database: &'a [u8],
    /// The client's collation, if it says one.
    pub charset: Option<u16>,
    /// The plugin that made `auth`, if the client says.
    pub plugin: Option<&'a [u8]>,
    /// What the client says about itself.
    pub attributes: ConnectAttributes<'a>,
}

impl<'a> ChangeUser<'a> {
    /// Reads the command's payload, its first byte included. What stands behind the database may be
    /// missing.
    pub fn parse(payload: &'a [u8], capabilities: Capabilities) -> Result<Self, Malformed> {
        let mut reader = Reader::new("COM_CHANGE_USER", payload);
        reader.skip(1)?;
        let user = reader.nul_bytes()?;
        let auth = if capabilities.contains(Capabilities::SECURE_CONNECTION) {
            let len = reader.u8()?.into();
            reader.bytes(len)?
        } else {
            reader.nul_bytes()?
        };
        let database = reader.nul_bytes()?;
        let charset = (!reader.is_empty()).then(|| reader.u16()).transpose()?;
        let plugin = (capabilities.contains(Capabilities::PLUGIN_AUTH) && !reader.is_empty())
            .then(|| reader.nul_bytes().unwrap_or_else(|_| reader.rest()));
        let attributes =
            match capabilities.contains(Capabilities::CONNECT_ATTRS) && !reader.is_empty() {
                true => ConnectAttributes::read(&mut reader)?,
                false => ConnectAttributes::default(),
            };
        Ok(Self { user, auth, database, charset, plugin, attributes })
    }
}
