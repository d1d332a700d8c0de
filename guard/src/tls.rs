//! TLS towards clients and towards databases: 1.2 or newer, by rustls with aws-lc-rs.
//!
//! The provider is named in each configuration, so nothing depends on what a process installed as
//! its default.

mod accept;
mod end_point;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{
    CertificateDer, InvalidDnsNameError, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName,
};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use thiserror::Error;

pub use self::accept::HANDSHAKE_RECORD;
pub use self::end_point::end_point;
use self::verify::{AnyName, Anyone};

/// Why TLS cannot be set up.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file is not there, or not PEM.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// A file has no certificate in it.
    #[error("{path}: no certificate in it")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// Certificates are to be verified, but against whom is not said.
    #[error("to verify certificates, a file with the authorities is needed")]
    NoAuthority,
    /// The name to verify is not one.
    #[error("{name:?} is neither a DNS name nor an IP address")]
    Name {
        /// What was configured.
        name: String,
        /// Why not.
        source: InvalidDnsNameError,
    },
    /// Key and certificate do not fit, or are of a kind that is not spoken.
    #[error("the certificate or its key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// The guard's own certificate cannot be made.
    #[error("a certificate cannot be made: {0}")]
    SelfSigned(#[from] rcgen::Error),
    /// An authority cannot be used.
    #[error("the authorities cannot be used: {0}")]
    Authority(#[from] rustls::client::VerifierBuilderError),
}

/// Whether a client may stay without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// The client chooses.
    Offered,
    /// A client without TLS is refused before it says its password.
    Required,
}

/// The name in a certificate that nobody signed.
const SELF_SIGNED_NAME: &str = "tidegate";

/// TLS towards clients.
#[derive(Debug)]
pub struct ServerTls {
    /// Whether it is a must.
    pub demand: Demand,
    /// What rustls needs.
    pub config: Arc<ServerConfig>,
    /// SHA-256 of the guard's certificate, by which MariaDB's clients may trust it though nobody
    /// signed it.
    pub fingerprint: [u8; 32],
    /// By which SCRAM binds a proof to that certificate; see [`end_point()`].
    pub end_point: Option<Vec<u8>>,
}

impl ServerTls {
    /// Reads the certificate chain, the guard's own first, and its key, both PEM.
    ///
    /// # Errors
    /// When a file cannot be read or the two do not fit.
    pub fn load(certificate: &Path, key: &Path, demand: Demand) -> Result<Self, TlsError> {
        let chain = read_certificates(certificate)?;
        let key = PrivateKeyDer::from_pem_file(key)
            .map_err(|source| TlsError::File { path: key.into(), source })?;
        Self::new(chain, key, demand)
    }

    /// TLS with a certificate that is made here and now, and signed by nobody.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn self_signed(demand: Demand) -> Result<Self, TlsError> {
        let own = rcgen::generate_simple_self_signed([SELF_SIGNED_NAME.to_owned()])?;
        let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
        Self::new(vec![own.cert.der().clone()], key.into(), demand)
    }

    /// TLS with a certificate chain that is not empty, the guard's own first, and its key.
    ///
    /// # Errors
    /// When the two do not fit, or cannot be used.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        demand: Demand,
    ) -> Result<Self, TlsError> {
        let fingerprint = chain.first().map(|own| Sha256::digest(own).into()).unwrap_or_default();
        let end_point = chain.first().and_then(end_point);
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        // A herd that reconnects resumes: no signature, and nothing is kept here for it.
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.send_tls13_tickets = 1;
        Ok(Self { demand, config: Arc::new(config), fingerprint, end_point })
    }

    /// The same, for clients that may say by ALPN what they speak: it must be `protocol` then.
    #[must_use]
    pub fn speaking(mut self, protocol: &[u8]) -> Self {
        Arc::make_mut(&mut self.config).alpn_protocols = vec![protocol.to_vec()];
        self
    }
}

/// How much TLS is wanted towards a database, and whom to believe; the names are those of MySQL's
/// `--ssl-mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMode {
    /// Plain text.
    #[default]
    Off,
    /// TLS if the server offers it. Keeps out neither listeners nor impostors that are determined.
    Preferred,
    /// TLS, whoever answers. Keeps out listeners, not impostors.
    Required,
    /// TLS with a server that an authority vouches for, whatever its name.
    VerifyCa,
    /// TLS with a server that an authority vouches for under its name.
    VerifyFull,
}

/// How TLS towards a database begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// The protocol asks for it first.
    #[default]
    Asked,
    /// At once. Both sides say by ALPN what they speak, so that a connection that was meant for another
    /// service is noticed.
    Direct,
}

/// TLS towards a database.
#[derive(Debug, Clone)]
pub struct ClientTls {
    /// How it begins.
    pub start: Start,
    /// Whether to go on without it: only if [`TlsMode::Preferred`].
    pub mode: TlsMode,
    /// What rustls needs.
    pub config: Arc<ClientConfig>,
    /// The name that the certificate must have, if names are verified; also sent to the server.
    pub server_name: ServerName<'static>,
}

impl ClientTls {
    /// Sets up `mode` for the server `name`, against the authorities in the PEM file `ca`. `None`
    /// if the mode is [`TlsMode::Off`].
    ///
    /// # Errors
    /// When the file cannot be read or is missing where the mode verifies, or `name` is no name.
    pub fn load(mode: TlsMode, name: &str, ca: Option<&Path>) -> Result<Option<Self>, TlsError> {
        let authorities = || {
            let path = ca.ok_or(TlsError::NoAuthority)?;
            let mut roots = RootCertStore::empty();
            for certificate in read_certificates(path)? {
                roots.add(certificate)?;
            }
            Ok::<_, TlsError>(Arc::new(roots))
        };
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let config = match mode {
            TlsMode::Off => return Ok(None),
            TlsMode::Preferred | TlsMode::Required => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
                .with_no_client_auth(),
            TlsMode::VerifyCa => {
                let inner = WebPkiServerVerifier::builder_with_provider(authorities()?, provider)
                    .build()?;
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(AnyName(inner)))
                    .with_no_client_auth()
            }
            TlsMode::VerifyFull => {
                builder.with_root_certificates(authorities()?).with_no_client_auth()
            }
        };
        let server_name = ServerName::try_from(name.to_owned())
            .map_err(|source| TlsError::Name { name: name.to_owned(), source })?;
        Ok(Some(Self { start: Start::Asked, mode, config: Arc::new(config), server_name }))
    }

    /// The same, begun without asking; the server must say by ALPN that it speaks `protocol`.
    #[must_use]
    pub fn direct(mut self, protocol: &[u8]) -> Self {
        self.start = Start::Direct;
        Arc::make_mut(&mut self.config).alpn_protocols = vec![protocol.to_vec()];
        self
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let file = |source| TlsError::File { path: path.into(), source };
    let chain = CertificateDer::pem_file_iter(path)
        .map_err(file)?
        .collect::<Result<Vec<_>, _>>()
        .map_err(file)?;
    match chain.is_empty() {
        true => Err(TlsError::NoCertificate { path: path.into() }),
        false => Ok(chain),
    }
}
