use super::*;

/// The exchange of RFC 7677, section 3.
const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
    s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_LAST: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn salt() -> Vec<u8> {
    message::decoded("test", b"W22ZaJ0SNY7soEsUEjb6gQ==").unwrap()
}

fn secret() -> Secret {
    Secret::of(&Keys::derive(b"pencil", &salt(), 4096), &salt(), 4096)
}

fn rfc_client() -> Client {
    Client::named("user", "rOprNGfwEbeRWgbNEkqO".into(), Binding::Unsupported)
}

fn plain(message: &[u8]) -> Start<'_> {
    Start { mechanism: Mechanism::ScramSha256, message }
}

fn rfc_server() -> Server {
    let nonce = b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
    Server::with_nonce(plain(FIRST.as_bytes()), &secret(), None, nonce).unwrap()
}

#[test]
fn the_client_says_what_rfc_7677_says() {
    let client = rfc_client();
    assert_eq!(client.message(), FIRST.as_bytes());
    let answer = client.answer(SERVER_FIRST.as_bytes(), Credential::Password(b"pencil")).unwrap();
    assert_eq!(answer.message(), LAST.as_bytes());
    assert_eq!(answer.verify(SERVER_LAST.as_bytes()), Ok(()));
}

#[test]
fn the_server_says_what_rfc_7677_says() {
    let server = rfc_server();
    assert_eq!(server.message(), SERVER_FIRST.as_bytes());
    let proven = server.verify(LAST.as_bytes()).unwrap();
    assert_eq!(proven.message, SERVER_LAST.as_bytes());
}

/// Goes through an exchange; what came of it at the server and at the client.
fn exchange(
    client: Client,
    secret: &Secret,
    offered: Option<&[u8]>,
    credential: Credential<'_>,
) -> Result<Proven, Failure> {
    let start = Start { mechanism: client.mechanism(), message: client.message() };
    let server = Server::new(start, secret, offered, [2; NONCE_LEN])?;
    let answer = client.answer(server.message(), credential)?;
    let proven = server.verify(answer.message())?;
    answer.verify(&proven.message)?;
    Ok(proven)
}

const RANDOM: [u8; NONCE_LEN] = [1; NONCE_LEN];

#[test]
fn keys_pass_through_without_the_password() {
    let client = Client::new(Binding::Unsupported, RANDOM);
    let proven = exchange(client, &secret(), None, Credential::Password(b"pencil")).unwrap();
    let keys = secret().keys(proven.client_key).unwrap();
    assert_eq!(keys, Keys::derive(b"pencil", &salt(), 4096));
    let again = Client::new(Binding::NotOffered, RANDOM);
    assert!(exchange(again, &secret(), None, Credential::Keys(&keys)).is_ok());
    assert_eq!(secret().keys([0; KEY_LEN]), None);
}

#[test]
fn a_wrong_password_proves_nothing() {
    for password in [&b"pencils"[..], b"", b"PENCIL"] {
        let client = Client::new(Binding::Unsupported, RANDOM);
        let ended = exchange(client, &secret(), None, Credential::Password(password));
        assert_eq!(ended.err(), Some(Failure::Proof));
    }
}

#[test]
fn a_server_without_the_secret_is_found_out() {
    let answer = |last: &[u8]| {
        let credential = Credential::Password(b"pencil");
        rfc_client().answer(SERVER_FIRST.as_bytes(), credential).unwrap().verify(last)
    };
    let forged = format!("v={}", message::encoded(&[0; KEY_LEN]));
    assert_eq!(answer(forged.as_bytes()), Err(Failure::Signature));
    assert_eq!(answer(b"e=invalid-proof"), Err(Failure::Refused));
    assert!(matches!(answer(b"v=short"), Err(Failure::Malformed(_))));
    assert!(matches!(answer(b""), Err(Failure::Malformed(_))));
}

#[test]
fn binding_holds_only_for_the_same_certificate() {
    let (ours, theirs) = ([7; 32], [8; 32]);
    let bound = |hash| Client::new(Binding::EndPoint(hash), RANDOM);
    assert_eq!(bound(&ours).mechanism(), Mechanism::ScramSha256Plus);
    let password = Credential::Password(b"pencil");
    assert!(exchange(bound(&ours), &secret(), Some(&ours), password).is_ok());
    let split = exchange(bound(&theirs), &secret(), Some(&ours), password);
    assert_eq!(split.err(), Some(Failure::Binding));
    let unoffered = exchange(bound(&ours), &secret(), None, password);
    assert_eq!(unoffered.err(), Some(Failure::Binding));
}

#[test]
fn a_client_that_was_deceived_about_the_offer_is_refused() {
    let deceived = Client::new(Binding::NotOffered, RANDOM);
    let password = Credential::Password(b"pencil");
    let ended = exchange(deceived, &secret(), Some(&[7; 32]), password);
    assert_eq!(ended.err(), Some(Failure::Binding));
    let unable = Client::new(Binding::Unsupported, RANDOM);
    assert!(exchange(unable, &secret(), Some(&[7; 32]), password).is_ok());
}

#[test]
fn first_messages_that_do_not_fit_are_refused() {
    let check = |mechanism, first: &[u8], expect: Option<Failure>| {
        let start = Start { mechanism, message: first };
        let started = Server::new(start, &secret(), Some(&[7; 32]), RANDOM);
        match expect {
            Some(failure) => assert_eq!(started.unwrap_err(), failure),
            None => assert!(matches!(started, Err(Failure::Malformed(_))), "{first:?}"),
        }
    };
    let (plain, plus) = (Mechanism::ScramSha256, Mechanism::ScramSha256Plus);
    check(plus, b"n,,n=,r=abc", Some(Failure::Binding));
    check(plain, b"p=tls-server-end-point,,n=,r=abc", Some(Failure::Binding));
    check(plus, b"p=tls-unique,,n=,r=abc", Some(Failure::Unsupported));
    check(plain, b"n,a=root,n=,r=abc", Some(Failure::Unsupported));
    check(plain, b"n,,m=x,n=,r=abc", Some(Failure::Unsupported));
    check(plain, b"", None);
    check(plain, b"x,,n=,r=abc", None);
    check(plain, b"n,,r=abc,n=", None);
    check(plain, b"n,,n=", None);
    check(plain, b"n,,n=,r=", None);
    check(plain, b"n,,n=,r=a\x7Fc", None);
}

#[test]
fn last_messages_that_do_not_fit_are_refused() {
    let check = |from: &str, to: &str, expect: Failure| {
        let changed = LAST.replace(from, to);
        assert_eq!(rfc_server().verify(changed.as_bytes()).err(), Some(expect), "{changed}");
    };
    check("c=biws", "c=eSws", Failure::Binding);
    check("r=rOpr", "r=rOps", Failure::Nonce);
    check("p=dHzb", "p=eHzb", Failure::Proof);
    check(",p=", ",x=y,p=", Failure::Proof);
    for len in 0..LAST.len() {
        assert!(rfc_server().verify(&LAST.as_bytes()[..len]).is_err(), "{len}");
    }
    assert!(rfc_server().verify(format!("{LAST},x").as_bytes()).is_err());
}

#[test]
fn server_messages_that_do_not_fit_are_refused() {
    let answer = |first: &str| {
        let keys = Keys::derive(b"pencil", &salt(), 1);
        rfc_client().answer(first.as_bytes(), Credential::Keys(&keys)).map(drop)
    };
    assert_eq!(answer(SERVER_FIRST), Ok(()));
    assert_eq!(answer("r=other,s=AA==,i=4096"), Err(Failure::Nonce));
    assert_eq!(answer("r=rOprNGfwEbeRWgbNEkqO,s=AA==,i=1"), Err(Failure::Nonce));
    assert_eq!(answer(&SERVER_FIRST.replace("i=4096", "i=0")), Err(Failure::Iterations(0)));
    let many = Failure::Iterations(ITERATIONS_MAX + 1);
    assert_eq!(answer(&SERVER_FIRST.replace("4096", "1000001")), Err(many));
    assert_eq!(answer("m=x,r=a,s=AA==,i=1"), Err(Failure::Unsupported));
    for wrong in ["", "r=", "r=a,s=!,i=1", "r=a,i=1", "r=a,s=AA==", "r=a,s=AA==,i=+1"] {
        assert!(matches!(answer(wrong), Err(Failure::Malformed(_))), "{wrong}");
    }
}

#[test]
fn an_unknown_user_cannot_tell_that_it_is_unknown() {
    let seed = [9; KEY_LEN];
    let mock = Secret::mock(b"nobody", &seed, 4096);
    assert_eq!(mock.salt.len(), SALT_LEN);
    assert_eq!(mock, Secret::mock(b"nobody", &seed, 4096), "the same each time");
    assert_ne!(mock.salt, Secret::mock(b"anybody", &seed, 4096).salt);
    let client = Client::new(Binding::Unsupported, RANDOM);
    let ended = exchange(client, &mock, None, Credential::Password(b"pencil"));
    assert_eq!(ended.err(), Some(Failure::Proof));
    // Not even who knows the mock's keys gets in.
    let keys = Keys::derive(b"pencil", &salt(), 4096);
    let known = Secret { owner: secret::Owner::Nobody, ..secret() };
    let client = Client::new(Binding::Unsupported, RANDOM);
    let ended = exchange(client, &known, None, Credential::Keys(&keys));
    assert_eq!(ended.err(), Some(Failure::Proof));
}

#[test]
fn secrets_are_read_as_postgresql_writes_them() {
    let text = secret().text();
    assert!(text.starts_with("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"));
    assert_eq!(Secret::parse(text.as_bytes()), Ok(secret()));
    for len in 0..text.len() {
        assert!(Secret::parse(&text.as_bytes()[..len]).is_err(), "{len}");
    }
    let refused = |text: &str| assert!(Secret::parse(text.as_bytes()).is_err(), "{text}");
    refused(&format!("{text}$"));
    refused(&text.replace("4096", "-1"));
    refused(&text.replace("SHA-256", "SHA-1"));
    refused("md5a3556571e93b0d20722ba62be61e8c2d");
    assert_eq!(format!("{:?}", secret()), "Secret(4096 iterations)");
}

/// From `pg_authid` of PostgreSQL 15.18; the second password is changed by SASLprep.
#[test]
fn secrets_are_those_that_postgresql_makes() {
    let check = |password: &str, text: &str| {
        let secret = Secret::parse(text.as_bytes()).unwrap();
        let keys = Keys::derive(password.as_bytes(), &secret.salt, secret.iterations);
        assert_eq!(Secret::of(&keys, &secret.salt, secret.iterations), secret);
        assert_eq!(secret.text(), text);
    };
    check(
        "pencil",
        "SCRAM-SHA-256$4096:QKXMg03DpyxiURi6bgpUsg==$\
         0aJlIA3z3csy4U7lEnGdoHn8F4kfx80kwFVn3jhpI4E=:UIJH5G/27+nTkgzBRwZO0DITIZg8qdigZxiEtzHoiwY=",
    );
    check(
        "na\u{EF}ve \u{AA}\u{2168}\u{AD}",
        "SCRAM-SHA-256$4096:q/x9NX/sjuHeiaWvVKZ1Ag==$\
         dKdnK16AnIwZHDy3nOs4iuGeckVjomnh6kLO5iT106U=:n7YvX3JeeJspVv10zoyZlhS+yQ2HKSP5ZJvmEvKLoQc=",
    );
}

#[test]
fn passwords_are_normalised_where_that_is_defined() {
    let check = |password: &[u8], expect: &[u8]| assert_eq!(*prepared(password), *expect);
    // RFC 4013, section 3.
    check("I\u{AD}X".as_bytes(), b"IX");
    check(b"user", b"user");
    check(b"USER", b"USER");
    check("\u{AA}".as_bytes(), b"a");
    check("\u{2168}".as_bytes(), b"IX");
    // Not allowed, or no UTF-8: as it is.
    check(b"\x07", b"\x07");
    check("\u{627}\u{31}".as_bytes(), "\u{627}\u{31}".as_bytes());
    check(b"\xFF\xFE", b"\xFF\xFE");
}

#[test]
fn mechanisms_are_known_by_their_name() {
    for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha256Plus] {
        assert_eq!(Mechanism::from_name(mechanism.name().as_bytes()), Some(mechanism));
    }
    assert_eq!(Mechanism::from_name(b"SCRAM-SHA-1"), None);
}
