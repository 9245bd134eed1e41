//! TLS to one host.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use vajra_plan::{HttpTask, HttpVersion};
use vajra_task::{Failure, FailureKind, PrepareError, Secrets};

/// TLS to one host, configured by the plan.
#[derive(Clone)]
pub struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
    version: HttpVersion,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tls({:?})", self.name)
    }
}

impl Tls {
    /// Reads certificates, keys and this machine's root certificates, which may block.
    ///
    /// # Errors
    /// A certificate or key can't be read, or this machine has no root certificates.
    pub fn new(host: &str, task: &HttpTask, secrets: &Secrets) -> Result<Tls, PrepareError> {
        let wrong = |why: String| PrepareError::Tls(why);
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| wrong(format!("{host:?} is not a server name")))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|e| wrong(e.to_string()))?;
        let builder = match task.insecure {
            true => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
            false => builder.with_root_certificates(roots(task.tls.ca.as_deref(), secrets)?),
        };
        let mut config = match (&task.tls.client_cert, &task.tls.client_key) {
            (Some(cert), Some(key)) => {
                let chain = certificates("task.tls.client_cert", cert, secrets)?;
                let key = secrets.resolve(key)?;
                let key = PrivateKeyDer::from_pem_slice(key.text.as_bytes()).map_err(|_| {
                    wrong("task.tls.client_key contains no private key in PEM".into())
                })?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|e| wrong(format!("task.tls.client_cert and client_key: {e}")))?
            }
            _ => builder.with_no_client_auth(),
        };
        if !task.tls.resume {
            config.resumption = Resumption::disabled();
        }
        config.alpn_protocols = vec![match task.version {
            HttpVersion::One => b"http/1.1".to_vec(),
            HttpVersion::Two => b"h2".to_vec(),
        }];
        Ok(Tls {
            connector: TlsConnector::from(Arc::new(config)),
            name,
            version: task.version,
        })
    }

    /// Runs the handshake.
    ///
    /// # Errors
    /// The server's certificate is not trusted, the server rejects the client's, or it does not
    /// support the plan's version of HTTP.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        tcp: S,
    ) -> Result<TlsStream<S>, Failure> {
        let handshake = self.connector.connect(self.name.clone(), tcp).await;
        let stream = handshake.map_err(|e| Failure::new(FailureKind::Tls, without_details(&e)))?;
        let chosen = stream.get_ref().1.alpn_protocol();
        if self.version == HttpVersion::Two && chosen != Some(b"h2") {
            return Err(Failure::new(
                FailureKind::Tls,
                "the server does not offer HTTP/2",
            ));
        }
        Ok(stream)
    }
}

/// The first line of a rustls error. Further lines contain times and names of the certificate,
/// which differ between servers.
fn without_details(e: &io::Error) -> String {
    let text = e.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

/// The trusted certificate authorities: the plan's, or else this machine's.
fn roots(ca: Option<&str>, secrets: &Secrets) -> Result<rustls::RootCertStore, PrepareError> {
    let mut roots = rustls::RootCertStore::empty();
    match ca {
        Some(ca) => {
            for certificate in certificates("task.tls.ca", ca, secrets)? {
                roots
                    .add(certificate)
                    .map_err(|e| PrepareError::Tls(format!("task.tls.ca: {e}")))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(PrepareError::Tls(
                    "this machine has no root certificates; install ca-certificates, or name an \
                     authority in task.tls.ca"
                        .into(),
                ));
            }
        }
    }
    Ok(roots)
}

fn certificates(
    field: &str,
    text: &str,
    secrets: &Secrets,
) -> Result<Vec<CertificateDer<'static>>, PrepareError> {
    let pem = secrets.resolve(text)?.text;
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(PrepareError::Tls(format!(
            "{field} contains no certificate in PEM"
        ))),
    }
}

/// Accepts any certificate, for `insecure`; signatures are still verified.
#[derive(Debug)]
struct AnyCertificate(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &rustls::pki_types::CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &rustls::pki_types::CertificateDer<'_>,
        dss: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
