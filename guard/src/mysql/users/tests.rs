use super::*;

const SCRAMBLE: &Scramble = b"0123456789abcdefghij";

#[test]
fn only_the_right_proof_proves() {
    let entry = |user: &str, secret: &str| Entry { user: user.into(), secret: secret.into() };
    let users = Users::new([entry("app", "secret"), entry("empty", "")], None);
    let native = |password: &[u8]| native::reply(&native::stage1(password), SCRAMBLE).to_vec();
    let sha2 = |password: &[u8]| caching_sha2::reply(password, SCRAMBLE).to_vec();
    let check = |user, plugin, reply: &[u8], expect| {
        let right = matches!(users.judge(user, plugin, reply, SCRAMBLE), Verdict::Right(_));
        assert_eq!(right, expect, "{user} {plugin:?} {reply:?}");
    };
    for plugin in [Plugin::NativePassword, Plugin::CachingSha2Password] {
        let reply = |password| match plugin {
            Plugin::NativePassword => native(password),
            _ => sha2(password),
        };
        check("app", plugin, &reply(b"secret"), true);
        check("app", plugin, &reply(b"Secret"), false);
        check("app", plugin, b"", false);
        check("app", plugin, b"\0", false);
        check("empty", plugin, b"", true);
        check("empty", plugin, b"\0", plugin == Plugin::CachingSha2Password);
        check("empty", plugin, &reply(b""), true);
        check("nobody", plugin, &reply(b"secret"), false);
        check("nobody", plugin, b"", false);
        check("", plugin, b"", false);
    }
    check("app", Plugin::NativePassword, &sha2(b"secret"), false);
    check("app", Plugin::ClearPassword, b"secret\0", false);
}
