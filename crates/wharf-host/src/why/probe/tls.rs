//! The first flight of a TLS server: which certificate it shows, and whether a client would take it.
//!
//! The handshake is done whatever the certificate; what is wrong with it is told afterwards, all of it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};

use super::Said;
use super::certificate::{self, Certificate};

/// Where systems keep the authorities that they trust.
const AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What a TLS server shows.
#[derive(Clone, Debug)]
pub(in crate::why) struct TlsReport {
    /// The version: `TLS 1.3`.
    pub(in crate::why) version: String,
    /// For which names its certificate is.
    pub(in crate::why) names: Vec<String>,
    /// What a client would not take.
    pub(in crate::why) faults: Vec<TlsFault>,
}

/// What is wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::why) enum TlsFault {
    /// It is for other names.
    Name,
    /// It was good until then (RFC 3339).
    Expired(String),
    /// It is good from then on.
    NotYet(String),
    /// Nobody who is trusted has signed it.
    Untrusted,
}

/// Keeps what the server shows, and takes everything.
#[derive(Debug)]
struct Recorder {
    provider: Arc<CryptoProvider>,
    chain: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = std::iter::once(end).chain(others).map(|one| one.clone().into_owned());
        *self.chain.lock().unwrap_or_else(PoisonError::into_inner) = shown.collect();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Says hello, and reads until the handshake is done.
pub(super) fn greet(mut stream: TcpStream, name: &str, patience: Duration) -> Said {
    let provider = Arc::new(ring::default_provider());
    let recorder = Arc::new(Recorder { provider: provider.clone(), chain: Mutex::default() });
    let Ok(server) = ServerName::try_from(name.to_owned()) else {
        return Said::TlsFailed(format!("{name:?} is no name for TLS"));
    };
    let config = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let client = config.and_then(|config| {
        let config =
            config.dangerous().with_custom_certificate_verifier(recorder.clone()).with_no_client_auth();
        ClientConnection::new(Arc::new(config), server.clone())
    });
    let mut client = match client {
        Ok(client) => client,
        Err(error) => return Said::TlsFailed(error.to_string()),
    };
    let mut first = Vec::new();
    if let Err(ended) = shake(&mut client, &mut stream, &mut first, patience) {
        return ended;
    }
    let chain = recorder.chain.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let version = client.protocol_version().and_then(|version| version.as_str()).unwrap_or("TLS");
    Said::Tls(Box::new(report(version, &chain, &server, &provider)))
}

fn shake(
    client: &mut ClientConnection,
    stream: &mut TcpStream,
    first: &mut Vec<u8>,
    patience: Duration,
) -> Result<(), Said> {
    let mut room = vec![0; 16 << 10];
    while client.is_handshaking() {
        while client.wants_write() {
            let mut bytes = Vec::new();
            if client.write_tls(&mut bytes).is_err() || stream.write_all(&bytes).is_err() {
                return Err(Said::Reset);
            }
        }
        if !client.is_handshaking() {
            break;
        }
        if stream.set_read_timeout(Some(patience)).is_err() {
            return Err(Said::Nothing);
        }
        let length = match stream.read(&mut room) {
            Ok(0) if first.is_empty() => return Err(Said::Closed),
            Ok(0) => return Err(unlike(first)),
            Ok(length) => length,
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
            {
                return Err(if first.is_empty() { Said::Nothing } else { unlike(first) });
            }
            Err(_) if first.is_empty() => return Err(Said::Reset),
            Err(_) => return Err(unlike(first)),
        };
        let mut came = room.get(..length).unwrap_or_default();
        if first.len() < 1024 {
            first.extend_from_slice(came);
        }
        if !matches!(first.first(), Some(0x14..=0x17)) {
            return Err(unlike(first));
        }
        while !came.is_empty() {
            let taken = client.read_tls(&mut came).unwrap_or(0);
            if let Err(error) = client.process_new_packets() {
                return Err(Said::TlsFailed(error.to_string()));
            }
            if taken == 0 {
                break;
            }
        }
    }
    Ok(())
}

/// What was said, if it is no TLS.
fn unlike(said: &[u8]) -> Said {
    match said {
        [0x14..=0x17, 3, ..] => Said::TlsFailed("the server ended the handshake".into()),
        _ => Said::NotTls(super::first_line(said)),
    }
}

fn report(
    version: &str,
    chain: &[CertificateDer<'static>],
    server: &ServerName<'_>,
    provider: &Arc<CryptoProvider>,
) -> TlsReport {
    let version = version.replace("TLSv", "TLS ").replace('_', ".");
    let Some((end, others)) = chain.split_first() else {
        return TlsReport { version, names: Vec::new(), faults: Vec::new() };
    };
    let Certificate { names, not_before, not_after } = certificate::parse(end).unwrap_or_default();
    let mut faults = Vec::new();
    let is_named = ParsedCertificate::try_from(end).and_then(|parsed| verify_server_name(&parsed, server));
    if is_named.is_err() {
        faults.push(TlsFault::Name);
    }
    let now =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64);
    let when = |seconds: i64| {
        crate::when::rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.max(0) as u64))
    };
    if let Some(end) = not_after.filter(|&end| end < now) {
        faults.push(TlsFault::Expired(when(end)));
    }
    if let Some(start) = not_before.filter(|&start| start > now) {
        faults.push(TlsFault::NotYet(when(start)));
    }
    if let Some(error) = trust(end, others, server, provider)
        && !matches!(
            error,
            CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. }
                | CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. }
        )
    {
        faults.push(TlsFault::Untrusted);
    }
    TlsReport { version, names, faults }
}

/// Why the authorities of this system would not vouch for it; `None` where they do, or where there are none.
fn trust(
    end: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    server: &ServerName<'_>,
    provider: &Arc<CryptoProvider>,
) -> Option<CertificateError> {
    let file = std::env::var_os("SSL_CERT_FILE");
    let files = file.iter().map(std::path::Path::new).chain(AUTHORITIES.iter().map(std::path::Path::new));
    let mut roots = RootCertStore::empty();
    for file in files {
        if let Ok(certificates) = CertificateDer::pem_file_iter(file) {
            roots.add_parsable_certificates(certificates.flatten());
        }
        if !roots.is_empty() {
            break;
        }
    }
    if roots.is_empty() {
        return None;
    }
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().ok()?;
    match verifier.verify_server_cert(end, others, server, &[], UnixTime::now()) {
        Err(Error::InvalidCertificate(error)) => Some(error),
        _ => None,
    }
}
