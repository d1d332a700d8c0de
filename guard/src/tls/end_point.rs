//! By what both ends of a TLS connection know that nobody sits between: the hash of the server's
//! certificate (`tls-server-end-point`, RFC 5929 §4.1), to which an exchange of proofs is bound.

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use wire::{Malformed, Reader};

/// Tags of the elements that are read here.
const SEQUENCE: u8 = 0x30;
const OBJECT_ID: u8 = 0x06;
const CONTEXT_0: u8 = 0xA0;

/// `1.2.840.113549.1.1`, RSA. The last number says with which hash.
const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01";
/// `1.2.840.10045.4`, ECDSA.
const ECDSA: &[u8] = b"\x2a\x86\x48\xce\x3d\x04";
/// `2.16.840.1.101.3.4.2`, the hashes of SHA-2.
const SHA2: &[u8] = b"\x60\x86\x48\x01\x65\x03\x04\x02";

/// The hash of `certificate`, by the hash function of its own signature; SHA-256 in place of MD5 and
/// SHA-1. `None` if the signature has no such function (Ed25519) or one that is not known here: then
/// nothing can be bound to the certificate.
pub fn end_point(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let function = function(certificate).ok().flatten()?;
    Some(match function {
        Function::Sha224 => Sha224::digest(certificate).to_vec(),
        Function::Sha256 => Sha256::digest(certificate).to_vec(),
        Function::Sha384 => Sha384::digest(certificate).to_vec(),
        Function::Sha512 => Sha512::digest(certificate).to_vec(),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// `Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm, signatureValue }`
fn function(certificate: &[u8]) -> Result<Option<Function>, Malformed> {
    let mut certificate = Reader::new("certificate", inside(certificate, SEQUENCE)?);
    element(&mut certificate)?;
    let (_, algorithm) = element(&mut certificate)?;
    of_algorithm(algorithm)
}

/// `AlgorithmIdentifier ::= SEQUENCE { algorithm OBJECT IDENTIFIER, parameters ANY OPTIONAL }`
fn of_algorithm(algorithm: &[u8]) -> Result<Option<Function>, Malformed> {
    let mut reader = Reader::new("signature algorithm", algorithm);
    let (_, id) = element(&mut reader)?;
    if let Some(rsa) = id.strip_prefix(RSA) {
        return Ok(match rsa {
            [4 | 5 | 11] => Some(Function::Sha256),
            [14] => Some(Function::Sha224),
            [12] => Some(Function::Sha384),
            [13] => Some(Function::Sha512),
            [10] => of_pss(reader.rest())?,
            _ => None,
        });
    }
    Ok(match id.strip_prefix(ECDSA) {
        Some([1] | [3, 2]) => Some(Function::Sha256),
        Some([3, 1]) => Some(Function::Sha224),
        Some([3, 3]) => Some(Function::Sha384),
        Some([3, 4]) => Some(Function::Sha512),
        _ => None,
    })
}

/// `RSASSA-PSS-params ::= SEQUENCE { [0] hashAlgorithm DEFAULT sha1, … }`
fn of_pss(parameters: &[u8]) -> Result<Option<Function>, Malformed> {
    let parameters = inside(parameters, SEQUENCE)?;
    if parameters.first() != Some(&CONTEXT_0) {
        return Ok(Some(Function::Sha256));
    }
    let hash = inside(inside(inside(parameters, CONTEXT_0)?, SEQUENCE)?, OBJECT_ID)?;
    Ok(match hash.strip_prefix(SHA2) {
        Some([1]) => Some(Function::Sha256),
        Some([2]) => Some(Function::Sha384),
        Some([3]) => Some(Function::Sha512),
        Some([4]) => Some(Function::Sha224),
        _ => None,
    })
}

/// What is in the first element, which must have that tag.
fn inside(bytes: &[u8], tag: u8) -> Result<&[u8], Malformed> {
    let mut reader = Reader::new("certificate", bytes);
    match element(&mut reader)? {
        (found, content) if found == tag => Ok(content),
        _ => Err(reader.err("another element is due")),
    }
}

/// Reads one element of DER: its tag and its content.
fn element<'a>(reader: &mut Reader<'a>) -> Result<(u8, &'a [u8]), Malformed> {
    let tag = reader.u8()?;
    let len = match reader.u8()? {
        short @ 0..=0x7F => usize::from(short),
        0x81 => usize::from(reader.u8()?),
        0x82 => usize::from(reader.u16_be()?),
        _ => return Err(reader.err("no length below 64 KiB")),
    };
    Ok((tag, reader.bytes(len)?))
}

#[cfg(test)]
mod tests {
    use rcgen::{
        CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
        SignatureAlgorithm,
    };

    use super::*;

    fn certificate(algorithm: &'static SignatureAlgorithm) -> CertificateDer<'static> {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn the_hash_function_is_the_signatures() {
        let p256 = certificate(&PKCS_ECDSA_P256_SHA256);
        assert_eq!(end_point(&p256), Some(Sha256::digest(&p256).to_vec()));
        let p384 = certificate(&PKCS_ECDSA_P384_SHA384);
        assert_eq!(end_point(&p384), Some(Sha384::digest(&p384).to_vec()));
        assert_eq!(end_point(&certificate(&PKCS_ED25519)), None);
    }

    #[test]
    fn what_is_cut_short_binds_to_nothing() {
        let whole = certificate(&PKCS_ECDSA_P256_SHA256);
        for len in 0..whole.len() {
            assert_eq!(end_point(&whole[..len].into()), None, "{len}");
        }
    }

    #[test]
    fn algorithms_are_told_by_their_numbers() {
        let check = |algorithm: &[u8], expect| {
            assert_eq!(of_algorithm(algorithm).ok().flatten(), expect, "{algorithm:?}");
        };
        let rsa = |last: u8| [&[OBJECT_ID, 9], RSA, &[last, 5, 0]].concat();
        check(&rsa(5), Some(Function::Sha256));
        check(&rsa(11), Some(Function::Sha256));
        check(&rsa(12), Some(Function::Sha384));
        check(&rsa(13), Some(Function::Sha512));
        check(&rsa(1), None);
        let pss = |parameters: &[u8]| [&[OBJECT_ID, 9], RSA, &[10], parameters].concat();
        check(&pss(&[SEQUENCE, 0]), Some(Function::Sha256));
        let sha512 = [&[SEQUENCE, 15, CONTEXT_0, 13, SEQUENCE, 11, OBJECT_ID, 9], SHA2, &[3]];
        check(&pss(&sha512.concat()), Some(Function::Sha512));
        check(&pss(&[CONTEXT_0, 0]), None);
        check(b"", None);
    }
}
