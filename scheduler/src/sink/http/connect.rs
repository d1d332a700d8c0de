//! Connections to a receiver: TCP, and TLS where the URL says so, within one time limit.

use std::error::Error;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use super::{Config, ConfigError};

type BoxError = Box<dyn Error + Send + Sync>;
type Stream = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;

/// Opens connections.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    connector: HttpsConnector<HttpConnector>,
    patience: Duration,
}

impl Connector {
    pub(super) fn new(config: &Config) -> Result<Self, ConfigError> {
        let fault = |why| {
            // User and password, if there are any, are not shown.
            let host = config.url.host().unwrap_or("…");
            Err(ConfigError::Url { url: format!("{}://{host}", scheme(&config.url)), why })
        };
        if !["http", "https"].contains(&scheme(&config.url)) {
            return fault("it begins with neither http:// nor https://");
        }
        if config.url.host().is_none_or(str::is_empty) {
            return fault("it has no host");
        }
        if config.url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return fault("a user and a password belong into a header, not into the URL");
        }
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let tls = match &config.authorities {
            Some(path) => verified_by(path)?,
            None if scheme(&config.url) == "https" => verified_by_system()?,
            None => builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth(),
        };
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let connector = connector.wrap_connector(tcp);
        Ok(Self { connector, patience: config.patience.connect })
    }
}

fn scheme(url: &Uri) -> &str {
    url.scheme_str().unwrap_or_default()
}

fn verified_by(path: &Path) -> Result<ClientConfig, ConfigError> {
    let fault = |why: String| ConfigError::Authorities { path: path.display().to_string(), why };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in found {
        let certificate = certificate.map_err(|error| fault(error.to_string()))?;
        roots.add(certificate).map_err(|error| fault(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(fault("no certificate in it".into()));
    }
    Ok(builder()?.with_root_certificates(roots).with_no_client_auth())
}

fn verified_by_system() -> Result<ClientConfig, ConfigError> {
    let roots = builder()?.with_native_roots();
    Ok(roots.map_err(|error| system(&error))?.with_no_client_auth())
}

/// The provider is named, so that nothing depends on what a process has installed as its default.
fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, ConfigError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| system(&error))
}

fn system(error: &dyn Error) -> ConfigError {
    ConfigError::Authorities { path: "of the system".into(), why: error.to_string() }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context)
    }

    /// hyper goes on opening a connection that nobody waits for any more, so the limit is here.
    fn call(&mut self, url: Uri) -> Self::Future {
        let (opening, patience) = (self.connector.call(url), self.patience);
        Box::pin(async move {
            let opened = tokio::time::timeout(patience, opening).await;
            opened.unwrap_or_else(|_| Err(format!("none within {patience:?}").into()))
        })
    }
}
