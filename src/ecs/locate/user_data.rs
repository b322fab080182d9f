//! EC2 user data: which cluster it makes the ECS agent join.
//!
//! It comes as shell scripts, cloud-config, TOML (Bottlerocket) or PowerShell, in any nesting of MIME, gzip and base64.
//! None of these is parsed in full: what is packed is laid open where it stands, then each line is read for the few
//! forms that name a cluster, since an error costs a call and no more: whoever asks proves the answer. (A MIME and a
//! TOML crate were tried: 270 and 150 KB of binary, and one of them recurses as deep as its input says.)
//!
//! User data holds secrets: nothing but the name of a cluster leaves this file, in errors and logs neither.

mod tokens;
mod unpack;

use std::collections::HashMap;

use self::{
    tokens::{Token, tokens},
    unpack::{after_prefix, unpack},
};
use crate::identifier::ClusterName;

/// What user data says about the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Mention {
    /// This one is named, by its name or its ARN.
    Cluster(ClusterName),
    /// None is named: an ECS agent that starts without a name joins `default`.
    Default,
    /// It is named by what only the instance can know, or the user data can't be read.
    Unknown,
}

/// Reads user data as `DescribeInstanceAttribute` gives it, in base64.
pub(crate) fn mention(user_data: &str) -> Mention {
    let Some(text) = unpack(user_data) else { return Mention::Unknown };
    let mut reader = Reader::new(&text);
    text.lines().for_each(|line| reader.line(line));
    reader.mention()
}

/// The variable that names the cluster to the ECS agent.
const VARIABLE: &str = "ECS_CLUSTER";

/// The setting that names the cluster to Bottlerocket.
const SETTING: &str = "settings.ecs.cluster";

/// The longest value that is put together: a cluster's ARN has some 330 bytes, and `A=$A$A` doubles with each line.
const VALUE_BYTES: usize = 1024;

/// What was assigned up to a line; the last one wins.
struct Reader {
    /// `None` is what only the instance can know.
    variables: HashMap<String, Option<String>>,
    /// The TOML table.
    table: String,
    /// Names have no case in PowerShell.
    is_powershell: bool,
}

impl Reader {
    fn new(text: &str) -> Self {
        let is_powershell = text.to_ascii_lowercase().contains("<powershell>");
        Self { variables: HashMap::new(), table: String::new(), is_powershell }
    }

    fn mention(&self) -> Mention {
        match self.variables.get(VARIABLE).map(Option::as_deref) {
            None | Some(Some("")) => Mention::Default,
            Some(name) => name.and_then(ClusterName::from_name_or_arn).map_or(Mention::Unknown, Mention::Cluster),
        }
    }

    /// Reads a line, or a quoted part of one.
    fn line(&mut self, line: &str) {
        if line.starts_with("#include") || (line.contains("ecs.config") && line.contains("://")) {
            self.variables.entry(VARIABLE.to_owned()).or_insert(None);
        }
        if let Some(table) = line.trim().strip_prefix('[') {
            let table = table.split(']').next().unwrap_or_default();
            self.table = on_the_way(table.chars().filter(|c| !" \"'".contains(*c)).collect());
        }
        let mut tables = vec![self.table.clone()];
        let (mut previous, mut is_search, mut is_agent) = (None, false, false);
        let tokens = tokens(line);
        for (at, token) in tokens.iter().enumerate() {
            let after = tokens.get(at + 1..).unwrap_or_default();
            match token {
                Token::Gap => continue,
                Token::Sign('}') => drop(tables.pop()),
                Token::Sign(sign) => is_search &= !";|&(\n".contains(*sign),
                Token::Word(word) => match word.text.as_str() {
                    "grep" | "awk" => is_search = true,
                    "sed" if line.contains(VARIABLE) => self.assign(VARIABLE, UNKNOWN),
                    text if text.eq_ignore_ascii_case("Initialize-ECSAgent") => is_agent = true,
                    text if is_agent && text.eq_ignore_ascii_case("-Cluster") => self.assign(VARIABLE, value(after)),
                    _ if is_search => {}
                    text if word.is_quoted && text != VARIABLE && text.contains(VARIABLE) => {
                        self.line(&formatted(text, after));
                    }
                    text => self.name(text, previous, after, &mut tables),
                },
            }
            previous = Some(token);
        }
    }

    /// Reads a name: is something assigned to it?
    fn name(&mut self, text: &str, previous: Option<&Token>, after: &[Token], tables: &mut Vec<String>) {
        let ([Token::Gap, Token::Sign(sign), after @ ..] | [Token::Sign(sign), after @ ..]) = after else { return };
        let variable = text.strip_prefix('$').map(|name| after_prefix(name, "env:").unwrap_or(name));
        let name = variable.unwrap_or(text);
        let key = self.key(name);
        let is_first = matches!(previous, None | Some(Token::Sign(';' | '{' | '}' | ']' | ',' | '\n')));
        let is_assigned = match sign {
            '=' if matches!(after, [Token::Sign('='), ..]) => false,
            // Elsewhere, as in `[ $A = x ]`, it is compared.
            '=' => variable.is_none() || is_first,
            ':' => key == VARIABLE && is_first,
            ',' => key == VARIABLE && matches!(previous, Some(Token::Sign('('))),
            _ => false,
        };
        let path = format!("{}.{name}", tables.last().map_or("", String::as_str));
        if path.trim_start_matches('.') == SETTING {
            self.assign(VARIABLE, value(after));
        } else if is_assigned {
            self.assign(&key, value(after));
        }
        if matches!(after, [Token::Sign('{'), ..] | [Token::Gap, Token::Sign('{'), ..]) {
            tables.push(on_the_way(path));
        }
    }

    fn key(&self, name: &str) -> String {
        if self.is_powershell { name.to_ascii_uppercase() } else { name.to_owned() }
    }

    fn assign(&mut self, key: &str, value: &str) {
        self.variables.insert(key.to_owned(), self.resolve(value));
    }

    /// Puts in the variables: `$A`, `${A}`, `${A:-default}`, `$env:A`.
    fn resolve(&self, value: &str) -> Option<String> {
        let mut pieces = value.split('$');
        let mut resolved = pieces.next()?.to_owned();
        for piece in pieces {
            let (inside, tail) = match piece.strip_prefix('{') {
                Some(piece) => piece.split_once('}').map(|(inside, tail)| (inside, Some(tail)))?,
                None => (piece, None),
            };
            let inside = after_prefix(inside, "env:").unwrap_or(inside);
            let rest = inside.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
            let name = inside.strip_suffix(rest)?;
            let operator = if tail.is_some() { rest.trim_start_matches(':') } else { "" };
            let default = operator.strip_prefix(['-', '=']);
            if default.is_none() && !operator.is_empty() && !operator.starts_with('?') {
                return None;
            }
            let value = self.variables.get(&self.key(name)).map_or(default, Option::as_deref)?;
            resolved += if value.is_empty() { default.unwrap_or_default() } else { value };
            resolved += tail.unwrap_or(rest);
            if resolved.len() > VALUE_BYTES {
                return None;
            }
        }
        Some(resolved)
    }
}

/// A path of TOML keys, as far as it may lead to the cluster.
fn on_the_way(path: String) -> String {
    if SETTING.starts_with(path.trim_start_matches('.')) { path } else { "elsewhere".to_owned() }
}

/// A value that can't be resolved.
const UNKNOWN: &str = "$";

/// What is assigned by a sign that these tokens follow.
fn value(after: &[Token]) -> &str {
    match after {
        [Token::Gap, after @ ..] => value(after),
        // PowerShell's `"a" + $b`.
        [Token::Word(_), Token::Gap, Token::Word(plus), ..] if plus.text == "+" => UNKNOWN,
        [Token::Word(word), ..] => &word.text,
        [Token::Sign('(' | '[' | '{'), ..] => UNKNOWN,
        _ => "",
    }
}

/// Puts the words that follow a format, as in `printf '%s' a`, into it.
fn formatted(format: &str, after: &[Token]) -> String {
    let mut words = after.iter().filter_map(|token| match token {
        Token::Word(word) => Some(word.text.as_str()),
        _ => None,
    });
    let mut pieces = format.split("%s");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + words.next().unwrap_or("%s") + piece)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, Engine as _};
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;

    use super::{
        unpack::{DEPTH, GZIP, INFLATED},
        *,
    };

    const ARN: &str = "arn:aws-cn:ecs:cn-north-1:123456789012:cluster/web";

    fn base64(data: impl AsRef<[u8]>) -> String {
        BASE64_STANDARD.encode(data)
    }

    fn gzip(data: impl AsRef<[u8]>) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(data.as_ref()).unwrap();
        packed.finish().unwrap()
    }

    /// Base64 in lines of 76 characters, as MIME and YAML have it.
    fn base64_lines(data: impl AsRef<[u8]>, indent: &str) -> String {
        let packed = base64(data);
        let lines: Vec<_> =
            packed.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        format!("{indent}{}", lines.join(&format!("\n{indent}")))
    }

    fn mime(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut mime = b"Content-Type: multipart/mixed; boundary=\"==B==\"\r\nMIME-Version: 1.0\r\n".to_vec();
        for (encoding, body) in parts {
            let head = "Content-Type: text/x-shellscript; charset=\"us-ascii\"\r\nMIME-Version: 1.0";
            mime.extend(format!("\r\n--==B==\r\n{head}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n").bytes());
            mime.extend(*body);
        }
        mime.extend(b"\r\n--==B==--\r\n");
        mime
    }

    fn quoted_printable(text: &str) -> Vec<u8> {
        text.replace('=', "=3D").replace("CLUSTER", "CLUS=\r\nTER").into_bytes()
    }

    /// Reads text, and shows what it says in short: a name, `(default)` or `(unknown)`.
    fn read(data: impl AsRef<[u8]>) -> String {
        match mention(&base64(data)) {
            Mention::Cluster(name) => name.as_str().to_owned(),
            Mention::Default => "(default)".to_owned(),
            Mention::Unknown => "(unknown)".to_owned(),
        }
    }

    fn check(cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            assert_eq!(read(text), *expected, "{text}");
            assert_eq!(read(text.replace('\n', "\r\n")), *expected, "with CRLF: {text}");
        }
    }

    #[test]
    fn shell_scripts() {
        check(&[
            ("#!/bin/bash\necho ECS_CLUSTER=web >> /etc/ecs/ecs.config\n", "web"),
            ("#!/bin/bash\necho \"ECS_CLUSTER=web\" >> \"/etc/ecs/ecs.config\"", "web"),
            ("echo 'ECS_CLUSTER=web' > /etc/ecs/ecs.config", "web"),
            ("echo ECS_CLUSTER='web' >> /etc/ecs/ecs.config", "web"),
            ("echo ECS_CLUSTER=\"web\" >> /etc/ecs/ecs.config", "web"),
            ("echo \"ECS_CLUSTER=\\\"web\\\"\" >> \"/etc/ecs/ecs.config\"", "web"),
            ("echo \"ECS_CLUSTER='web'\" >> /etc/ecs/ecs.config", "web"),
            ("echo \"ECS_CLUSTER=\"web >> /etc/ecs/ecs.config", "web"),
            ("echo ECS_CLUSTER=web>>/etc/ecs/ecs.config;start ecs", "web"),
            ("echo ECS_CLUSTER=web|tee -a /etc/ecs/ecs.config", "web"),
            ("echo -e \"ECS_LOGLEVEL=info\\nECS_CLUSTER=web\\nECS_FOO=1\" >> /etc/ecs/ecs.config", "web"),
            ("echo \"ECS_LOGLEVEL=info\nECS_CLUSTER=web\" >> /etc/ecs/ecs.config", "web"),
            ("{\n  echo \"ECS_CLUSTER=web\"\n} >> /etc/ecs/ecs.config", "web"),
            ("(echo ECS_CLUSTER=web) >> /etc/ecs/ecs.config", "web"),
            (
                "cat <<'EOF' >> /etc/ecs/ecs.config\nECS_LOGLEVEL=debug\nECS_CLUSTER=web\nECS_FOO={\"a\":\"b\"}\nEOF",
                "web",
            ),
            ("cat >>/etc/ecs/ecs.config <<-EOF\n\tECS_CLUSTER=\"web\"\n\tEOF", "web"),
            ("ECS_CLUSTER = web", "web"),
            ("export ECS_CLUSTER=web", "web"),
            ("export ECS_CLUSTER=web # the old one: ECS_CLUSTER=old", "web"),
            ("echo ECS_CLUSTER=web >> /etc/ecs/ecs.config # ECS_CLUSTER=old", "web"),
            ("docker run -d --env=ECS_CLUSTER=web amazon/amazon-ecs-agent", "web"),
            ("printf 'ECS_CLUSTER=%s\\n' \\\n  web >> x", "web"),
            ("echo \\\"ECS_CLUSTER=web\\\" >> x", "web"),
            ("grep -q ecs x; echo ECS_CLUSTER=web >> x", "web"),
            ("ECS_CLUSTER=web\nif [[ ECS_CLUSTER == old ]]; then true; fi", "web"),
            ("docker run -d \\\n  -e ECS_CLUSTER=web \\\n  amazon/amazon-ecs-agent", "web"),
            ("Environment=\"ECS_CLUSTER=web\"", "web"),
            ("echo ECS_CLUSTER=old >> x\necho ECS_CLUSTER=web >> x", "web"),
            ("echo ECS_CLUSTER=web_2-b >> x", "web_2-b"),
            (&format!("echo ECS_CLUSTER={ARN} >> x"), "web"),
            (&format!("echo \"ECS_CLUSTER={ARN}\" >> x"), "web"),
            ("sed -i 's/^ECS_CLUSTER=.*/ECS_CLUSTER=web/' /etc/ecs/ecs.config", "(unknown)"),
            ("sed -i '/ECS_CLUSTER=/d' x\necho ECS_CLUSTER=web >> x", "web"),
            ("grep -q ECS_CLUSTER= x || echo ECS_CLUSTER=web >> x", "web"),
            ("echo ECS_CLUSTER=web >> x\ngrep ECS_CLUSTER= x", "web"),
            ("echo ECS_CLUSTER=web >> x\nC=$(grep 'A\\|ECS_CLUSTER=' x | cut -d= -f2)", "web"),
        ]);
    }

    #[test]
    fn printf() {
        check(&[
            ("printf 'ECS_CLUSTER=web\\n' >> x", "web"),
            ("printf 'ECS_CLUSTER=%s\\n' web >> x", "web"),
            ("printf \"ECS_CLUSTER=%s\\n\" \"web\" >> x", "web"),
            ("printf ECS_CLUSTER=%s web >> x", "(unknown)"),
            ("A=web\nprintf 'ECS_LOGLEVEL=%s\\nECS_CLUSTER=%s-b\\n' info \"$A\" >> x", "web-b"),
            ("printf 'ECS_CLUSTER=%s\\n' \"$(hostname)\" >> x", "(unknown)"),
            ("printf 'ECS_CLUSTER=%s\\n'", "(unknown)"),
        ]);
    }

    #[test]
    fn shell_variables() {
        check(&[
            ("CLUSTER=web; echo ECS_CLUSTER=$CLUSTER >> x", "web"),
            ("CLUSTER=web && echo \"ECS_CLUSTER=${CLUSTER}\" >> x", "web"),
            ("CLUSTER=\"web\"\necho \"ECS_CLUSTER=\"$CLUSTER >> x", "web"),
            ("export CLUSTER='web'\necho 'ECS_CLUSTER='${CLUSTER} >> x", "web"),
            ("local A=web B=prod\ncat <<EOF >> x\nECS_CLUSTER=$A-$B\nEOF", "web-prod"),
            ("A=web\nB=\"${A}-prod\"\necho ECS_CLUSTER=\"$B\"-\"2\" >> x", "web-prod-2"),
            ("A=old\nA=web\necho ECS_CLUSTER=$A", "web"),
            ("ECS_CLUSTER=web\necho \"ECS_CLUSTER=$ECS_CLUSTER\" >> x", "web"),
            ("ecs_cluster=web\necho ECS_CLUSTER=$ecs_cluster >> x", "web"),
            ("echo ECS_CLUSTER=${CLUSTER:-web} >> x", "web"),
            ("echo ECS_CLUSTER=${CLUSTER-web} >> x", "web"),
            ("CLUSTER=\necho ECS_CLUSTER=${CLUSTER:-web} >> x", "web"),
            ("CLUSTER=web\necho ECS_CLUSTER=${CLUSTER:-old} >> x", "web"),
            ("CLUSTER=web\necho ECS_CLUSTER=${CLUSTER:?is missing} >> x", "web"),
            ("CLUSTER=$1\necho ECS_CLUSTER=$CLUSTER >> x", "(unknown)"),
            ("CLUSTER=web-x\necho ECS_CLUSTER=${CLUSTER%-x} >> x", "(unknown)"),
            ("CLUSTER=web\necho ECS_CLUSTER=${CLUSTER:0:1} >> x", "(unknown)"),
            ("CLUSTER=web\necho ECS_CLUSTER=$CLUSTER_2 >> x", "(unknown)"),
            ("cluster=old\necho ECS_CLUSTER=$CLUSTER >> x", "(unknown)"),
            ("aws x --cluster=web\necho ECS_CLUSTER=$cluster >> x", "(unknown)"),
            ("echo ECS_CLUSTER=$CLUSTER >> x\nCLUSTER=web", "(unknown)"),
            ("echo ECS_CLUSTER=$(aws ssm get-parameter --name x --query y) >> x", "(unknown)"),
            (
                "echo \"ECS_CLUSTER=$(curl -s http://169.254.169.254/latest/meta-data/tags/instance/c)\" >> x",
                "(unknown)",
            ),
            ("echo ECS_CLUSTER=web-`hostname` >> x", "(unknown)"),
            ("C=$(aws ec2 describe-tags | jq -r .x)\necho ECS_CLUSTER=$C >> x", "(unknown)"),
            ("C=`aws ec2 describe-tags`\necho ECS_CLUSTER=$C >> x", "(unknown)"),
            ("C=web\nC=$(x)\necho ECS_CLUSTER=$C >> x", "(unknown)"),
            ("echo ECS_CLUSTER=web\necho ECS_CLUSTER=$X", "(unknown)"),
        ]);
    }

    #[test]
    fn no_cluster_is_named() {
        check(&[
            ("", "(default)"),
            ("#!/bin/bash\nyum update -y\n", "(default)"),
            ("# ECS_CLUSTER=old", "(default)"),
            ("  #ECS_CLUSTER=old", "(default)"),
            ("start ecs # ECS_CLUSTER=old", "(default)"),
            ("echo \"it's on\" # ECS_CLUSTER=old", "(default)"),
            ("echo '# ECS_CLUSTER=old' >> x", "(default)"),
            ("# docker run \\\n#   -e ECS_CLUSTER=old", "(default)"),
            ("MY_ECS_CLUSTER=old", "(default)"),
            ("MY-ECS_CLUSTER=old", "(default)"),
            ("ECS_CLUSTER_NAME=old", "(default)"),
            ("ecs_cluster=old", "(default)"),
            ("cluster = \"old\"", "(default)"),
            ("echo ECS_LOGLEVEL=debug >> /etc/ecs/ecs.config", "(default)"),
            ("ECS_CLUSTER=", "(default)"),
            ("ECS_CLUSTER= # none", "(default)"),
            ("ECS_CLUSTER=\"\"", "(default)"),
            ("echo ECS_CLUSTER= >> x", "(default)"),
            ("echo \"ECS_CLUSTER=\" >> x", "(default)"),
            ("export ECS_CLUSTER", "(default)"),
            ("grep ECS_CLUSTER /etc/ecs/ecs.config", "(default)"),
            ("if [ \"$ECS_CLUSTER\" = \"old\" ]; then true; fi", "(default)"),
            ("if [ $ECS_CLUSTER = old ]; then true; fi", "(default)"),
            ("if [[ ${ECS_CLUSTER} == old ]]; then true; fi", "(default)"),
            ("echo ${ECS_CLUSTER:-old}", "(default)"),
            ("echo setting ECS_CLUSTER: done", "(default)"),
            ("echo \"setting ECS_CLUSTER, wait\"", "(default)"),
            ("[settings.ecs]\nloglevel = \"info\"", "(default)"),
        ]);
    }

    #[test]
    fn what_cannot_be_a_name_is_unknown() {
        let longest = "x".repeat(255);
        check(&[
            (&format!("ECS_CLUSTER={longest}"), &longest),
            (&format!("ECS_CLUSTER={longest}x"), "(unknown)"),
            ("ECS_CLUSTER=web/api", "(unknown)"),
            ("ECS_CLUSTER=web.api", "(unknown)"),
            ("ECS_CLUSTER=web#2", "(unknown)"),
            ("ECS_CLUSTER=\"web api\"", "(unknown)"),
            ("ECS_CLUSTER={{ cluster }}", "(unknown)"),
            ("ECS_CLUSTER=web-{{ cluster }}", "(unknown)"),
            ("ECS_CLUSTER=web-{a,b}", "(unknown)"),
            ("ECS_CLUSTER=%CLUSTER%", "(unknown)"),
            ("ECS_CLUSTER=w\u{eb}b", "(unknown)"),
            ("ECS_CLUSTER=web\\$x", "(unknown)"),
            ("ECS_CLUSTER=arn:aws:ecs:us-east-1:123456789012:service/web", "(unknown)"),
            ("#include\nhttps://example.com/x", "(unknown)"),
            ("aws s3 cp s3://bucket/ecs.config /etc/ecs/ecs.config", "(unknown)"),
            ("aws s3 cp s3://bucket/ecs.config /etc/ecs/ecs.config\necho ECS_CLUSTER=web >> x", "web"),
        ]);
    }

    #[test]
    fn cloud_config() {
        let file = "ECS_LOGLEVEL=info\nECS_CLUSTER=web\n";
        let content = base64(file);
        check(&[
            (
                "#cloud-config\nwrite_files:\n- path: x\n  content: |\n    ECS_LOGLEVEL=info\n    ECS_CLUSTER=web\n",
                "web",
            ),
            ("#cloud-config\nwrite_files:\n- {path: x, content: ECS_CLUSTER=web}\n", "web"),
            ("#cloud-config\nruncmd:\n- echo ECS_CLUSTER=web >> x\n", "web"),
            ("#cloud-config\nruncmd:\n- echo 'ECS_CLUSTER=web' >> x\n", "web"),
            ("#cloud-config\nruncmd:\n- 'echo \"ECS_CLUSTER=web\" >> \"x\"'\n", "web"),
            ("#cloud-config\nbootcmd:\n- [sh, -c, \"echo ECS_CLUSTER=web >> x\"]\n", "web"),
            ("#cloud-config\nbootcmd:\n- [sh, -c, \"C=web; echo ECS_CLUSTER=$C >> x\"]\n", "web"),
            ("#cloud-config\nbootcmd:\n# - echo ECS_CLUSTER=old >> x\n", "(default)"),
            ("services:\n  agent:\n    environment:\n      ECS_CLUSTER: web\n", "web"),
            (&format!("#cloud-config\nwrite_files:\n- path: x\n  encoding: b64\n  content: {content}\n"), "web"),
            (&format!("#cloud-config\nwrite_files:\n- content: \"{content}\"\n  encoding: base64\n  path: x\n"), "web"),
            (&format!("#cloud-config\nwrite_files:\n# content: {content}\n"), "(default)"),
            (&format!("echo {content} | base64 -d >> x"), "web"),
            (&format!("base64 -d >> x <<EOF\n{content}\nEOF"), "web"),
            // No padding: `EOF` could be more of it.
            (&format!("base64 -d >> x <<EOF\n{}\nEOF", base64("ECS_CLUSTER=web")), "web"),
            (&format!("base64 -d >> x <<DONE\n{content}\nDONE"), "web"),
            (&format!("{{\"source\": \"data:;base64,{content}\"}}"), "web"),
        ]);
        let long = format!("{}ECS_CLUSTER=web\n", "ECS_RESERVED_PORTS=[22]\n".repeat(9));
        for content in [base64_lines(&long, "    "), base64_lines(gzip(&long), "    ")] {
            let text =
                format!("#cloud-config\nwrite_files:\n- encoding: x\n  content: !!binary |\n{content}\n  path: x\n");
            assert_eq!(read(&text), "web", "{text}");
        }
    }

    #[test]
    fn json() {
        check(&[
            ("{\"ECS_CLUSTER\": \"web\", \"ECS_LOGLEVEL\": \"info\"}", "web"),
            ("{\"ECS_CLUSTER\":\"web\"}", "web"),
            ("{\"ECS_LOGLEVEL\": \"info\",\n\"ECS_CLUSTER\": \"web\"}", "web"),
            ("{\"ECS_LOGLEVEL\": \"info\", \"ECS_CLUSTER\": \"web\"}", "web"),
            ("{ECS_CLUSTER: web}", "web"),
            ("{\"Cluster\": \"old\"}", "(default)"),
        ]);
    }

    #[test]
    fn bottlerocket() {
        check(&[
            ("[settings.ecs]\ncluster = \"web\"\n", "web"),
            (
                "[settings.host-containers.admin]\nenabled = true\n[settings.ecs]\nloglevel = 'info'\ncluster='web' # x",
                "web",
            ),
            ("[ settings.\"ecs\" ]\n\"cluster\" = \"web\"", "web"),
            ("[settings.ecs] # ECS\n  cluster = \"web\" # x", "web"),
            ("settings.ecs.cluster = \"web\"", "web"),
            ("[settings]\necs.cluster = \"web\"", "web"),
            ("[settings]\necs = { cluster = \"web\" }", "web"),
            ("[settings]\necs = { loglevel = \"info\", cluster = \"web\", x = 1 }", "web"),
            ("settings = { ecs = { cluster = \"web\" } }", "web"),
            ("settings = { ntp = { x = 1 }, ecs = { cluster = \"web\" } }", "web"),
            ("other = { settings = { ecs = { cluster = \"old\" } } }", "(default)"),
            (&format!("[settings.ecs]\ncluster = \"{ARN}\""), "web"),
            ("[settings.ecs]\n# cluster = \"old\"", "(default)"),
            ("[settings.ecs]\ncluster = \"\"", "(default)"),
            ("[settings.ecs]\ncluster-x = \"old\"", "(default)"),
            ("[settings.ecs]\nx = 1\n[settings.kubernetes]\ncluster = \"old\"", "(default)"),
            ("[settings.ecs]\ncluster = \"{{ x }}\"", "(unknown)"),
        ]);
    }

    #[test]
    fn powershell() {
        let cases = [
            ("Import-Module ECSTools\nInitialize-ECSAgent -Cluster web -EnableTaskIAMRole", "web"),
            ("Initialize-ECSAgent -Cluster 'web' -LoggingDrivers '[\"json-file\",\"awslogs\"]'", "web"),
            ("initialize-ecsagent -EnableTaskIAMRole -cluster \"web\"", "web"),
            ("Initialize-ECSAgent `\n  -EnableTaskIAMRole `\n  -Cluster web `\n  -EnableTaskENI", "web"),
            ("Initialize-ECSAgent -LoggingDrivers aPathThatLooksLikeBase64 `\n  -Cluster web", "web"),
            ("$cluster = 'web'\nInitialize-ECSAgent -Cluster $Cluster", "web"),
            ("[string]$cluster = \"web\"; Initialize-ECSAgent -Cluster \"${cluster}-2\"", "web-2"),
            ("$env:NAME = \"web\"\nInitialize-ECSAgent -Cluster $env:NAME", "web"),
            ("[Environment]::SetEnvironmentVariable(\"ECS_CLUSTER\", \"web\", \"Machine\")", "web"),
            ("[Environment]::SetEnvironmentVariable('ECS_CLUSTER','web','Machine')", "web"),
            ("$c = 'web'\n[System.Environment]::SetEnvironmentVariable(\"ECS_CLUSTER\", $c, \"Machine\")", "web"),
            ("$env:ECS_CLUSTER = \"web\"", "web"),
            ("$Env:ecs_cluster='web'", "web"),
            ("Initialize-ECSAgent -EnableTaskIAMRole", "(default)"),
            ("# Initialize-ECSAgent -Cluster old", "(default)"),
            ("New-Thing -Cluster old", "(default)"),
            ("Initialize-ECSAgent -ClusterName old", "(default)"),
            ("Initialize-ECSAgent -Cluster $cluster", "(unknown)"),
            ("Initialize-ECSAgent -Cluster (Get-SSMParameter -Name x).Value", "(unknown)"),
            ("$c = \"web-\" + $stage\nInitialize-ECSAgent -Cluster $c", "(unknown)"),
            ("$c = (Get-EC2Tag)[0].Value\nInitialize-ECSAgent -Cluster $c", "(unknown)"),
        ];
        for (text, expected) in cases {
            check(&[(&format!("<powershell>\n{text}\n</powershell>\n<persist>true</persist>"), expected)]);
        }
    }

    #[test]
    fn parts() {
        let script = b"#!/bin/bash\necho ECS_CLUSTER=web >> /etc/ecs/ecs.config\n";
        let other = b"#!/bin/bash\necho ECS_CLUSTER=old >> /etc/ecs/ecs.config\n";
        let text = String::from_utf8_lossy(script);
        let packed = [
            ("7bit", script.to_vec()),
            ("base64", base64_lines(script, "").into_bytes()),
            ("Quoted-Printable", quoted_printable(&text)),
            ("quoted-printable", quoted_printable(&format!("-----BEGIN CERTIFICATE-----\n{text}"))),
            ("base64", base64_lines(gzip(script), "").into_bytes()),
            ("binary", gzip(script)),
            ("7bit", mime(&[("base64", base64(script).as_bytes())])),
        ];
        for (encoding, body) in &packed {
            let part = (*encoding, body.as_slice());
            assert_eq!(read(mime(&[part])), "web", "{encoding}");
            assert_eq!(read(mime(&[("7bit", other), part])), "web", "7bit, {encoding}");
            assert_eq!(read(mime(&[("base64", base64(other).as_bytes()), part])), "web", "base64, {encoding}");
            assert_eq!(read(mime(&[("quoted-printable", b"a=3D1"), part])), "web", "quoted-printable, {encoding}");
            assert_eq!(read(gzip(mime(&[part]))), "web", "gzip, {encoding}");
        }
    }

    #[test]
    fn an_encoding_ends_with_its_part() {
        let encoded = "Content-Transfer-Encoding: quoted-printable\n\na=3D1\n--B\n";
        let parts = format!("Content-Type: multipart/mixed; boundary=B\n\n--B\n{encoded}\necho ECS_CLUSTER=41\n--B--");
        assert_eq!(read(parts), "41");
    }

    #[test]
    fn what_cannot_be_read_is_unknown() {
        let script = "echo ECS_CLUSTER=web";
        let mut cut = gzip(script);
        cut.truncate(20);
        assert_eq!(read(cut), "(unknown)");
        assert_eq!(mention("no base64!"), Mention::Unknown);
        assert_eq!(
            mention(&format!(" {}\n", base64_lines(script.repeat(9), "\t"))),
            mention(&base64(script.repeat(9)))
        );
        assert_eq!(mention(&BASE64_STANDARD_NO_PAD.encode(script)), mention(&base64(script)));
        assert_eq!(read(format!("\u{feff}{script}")), "web");
        assert_eq!(read([b"\xff\xfe\n", script.as_bytes(), b"\n\xff"].concat()), "web");
    }

    #[test]
    fn size_is_bounded() {
        let padded = |bytes: usize| gzip(format!("echo ECS_CLUSTER=web\n{}", " ".repeat(bytes)));
        assert_eq!(read(padded(200 << 10)), "web");
        assert_eq!(read(padded(INFLATED)), "(unknown)");
        assert_eq!(read([padded(INFLATED / 2), padded(INFLATED / 2)].concat()), "(unknown)", "in sum");
        let nest = |times| (0..times).fold(b"ECS_CLUSTER=web".to_vec(), |inner, _| gzip(inner));
        assert_eq!(read(nest(DEPTH - 1)), "web");
        assert_eq!(read(nest(DEPTH)), "(unknown)");
        let doubled = format!("A=xx\n{}ECS_CLUSTER=$A", "A=$A$A\n".repeat(1000));
        assert_eq!(read(doubled), "(unknown)");
        // What would recurse deeply, or take the square of its length.
        for unit in [
            "settings={",
            "settings.ecs = { ",
            "${",
            "ECS_CLUSTER=%s",
            "'ECS_CLUSTER=",
            "\\\"",
            "\"'",
            "{}",
            "  ",
            "A=1 ",
        ] {
            read(gzip(unit.repeat((200 << 10) / unit.len())));
            read(gzip(format!("\"ECS_CLUSTER=\"{}", unit.repeat((200 << 10) / unit.len()))));
        }
    }

    #[test]
    fn no_secret_is_shown() {
        for text in ["PASSWORD=hunter2\nECS_CLUSTER=$PASSWORD.", "ECS_CLUSTER=\"web hunter2\"", "hunter2"] {
            assert!(!format!("{:?}", mention(&base64(text))).contains("hunter2"));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r"([ -~\n\t]|ECS_CLUSTER=|\$\{|\\\n|%s|\PC){0,200}") {
            mention(&text);
            mention(&base64(&text));
            mention(&base64(gzip(&text)));
        }

        #[test]
        fn no_bytes_make_it_panic(data in prop::collection::vec(any::<u8>(), 0..400)) {
            mention(&base64(&data));
            mention(&base64([GZIP, &data].concat()));
            mention(&base64(mime(&[("base64", &data), ("quoted-printable", &data)])));
        }

        #[test]
        fn packing_changes_nothing(
            name in "[A-Za-z0-9_-]{1,60}",
            before in "([ -\"$-~]{0,60}\n){0,4}",
            quote in prop::sample::select(vec!["", "\"", "'"]),
        ) {
            let script = format!("{before}\necho {quote}ECS_CLUSTER={name}{quote} >> /etc/ecs/ecs.config\n");
            prop_assert_eq!(&read(&script), &name);
            prop_assert_eq!(&read(gzip(&script)), &name);
            prop_assert_eq!(&read(gzip(gzip(&script))), &name);
            prop_assert_eq!(&read(base64_lines(&script, " ")), &name);
            prop_assert_eq!(&read(mime(&[("7bit", script.as_bytes())])), &name);
            prop_assert_eq!(&read(mime(&[("base64", base64_lines(&script, "").as_bytes())])), &name);
            prop_assert_eq!(&read(mime(&[("quoted-printable", &quoted_printable(&script))])), &name);
            prop_assert_eq!(&read(gzip(mime(&[("binary", &gzip(&script))]))), &name);
        }
    }
}
