//! Certificates for a private server: an authority, and one certificate for loopback.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::error::{Error, at};

/// The authority's certificate, in the server's folder.
pub(super) const CA: &str = "ca.pem";
/// The server's certificate.
pub(super) const CERTIFICATE: &str = "server.pem";
/// The server certificate's key.
pub(super) const KEY: &str = "server.key";

/// Writes all three files into `folder`.
pub(super) fn write(folder: &Path) -> Result<(), Error> {
    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "tidegate drill authority");
    let authority_certificate = authority.self_signed(&authority_key)?;
    let issuer = Issuer::new(authority, authority_key);

    let key = KeyPair::generate()?;
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "localhost");
    let certificate = params.signed_by(&key, &issuer)?;

    let files = [
        (CA, authority_certificate.pem()),
        (CERTIFICATE, certificate.pem()),
        (KEY, key.serialize_pem()),
    ];
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).map_err(at(path))?;
    }
    // PostgreSQL takes no key that others may read.
    let key = folder.join(KEY);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).map_err(at(key))
}
