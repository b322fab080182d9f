//! Reads EC2 user data for the cluster that it makes the ECS agent join.
//!
//! User data consists of shell scripts, cloud-config, TOML (Bottlerocket) or PowerShell, in any nesting of MIME, gzip
//! and base64. None of these is parsed in full: packed content is unpacked in place, then each line is searched for the
//! few forms that name a cluster. An error costs a call and no more, since the caller verifies the answer. (MIME and
//! TOML crates were tried: they add 270 and 150 KB to the binary, and one of them recurses as deep as its input says.)
//!
//! User data contains secrets: nothing but the name of a cluster leaves this module, neither in errors nor in logs.

mod assignment;
mod destination;
mod here_document;
mod reader;
mod sed;
mod tokens;
mod unpack;
mod values;
mod variables;

pub(crate) use assignment::ConfiguredCluster;

/// Finds the cluster in user data as `DescribeInstanceAttribute` returns it, in base64.
pub(crate) fn configured_cluster(user_data: &str) -> ConfiguredCluster {
    unpack::unpack(user_data).map_or(ConfiguredCluster::Unknown, |unpacked| reader::read(&unpacked))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, Engine as _};
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;

    use super::{
        assignment::ConfiguredCluster,
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

    /// Base64 in lines of 76 characters, as in MIME and YAML.
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

    /// Reads text and returns the result in short: a name, `(default)` or `(unknown)`.
    fn read(data: impl AsRef<[u8]>) -> String {
        match configured_cluster(&base64(data)) {
            ConfiguredCluster::Cluster(name) => name.as_str().to_owned(),
            ConfiguredCluster::Default => "(default)".to_owned(),
            ConfiguredCluster::Unknown => "(unknown)".to_owned(),
        }
    }

    fn check(cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            assert_eq!(read(text), *expected, "{text}");
            assert_eq!(read(text.replace('\n', "\r\n")), *expected, "with CRLF: {text}");
        }
    }

    #[test]
    fn cluster_is_read_from_shell_scripts() {
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
            ("sed -i 's/^ECS_CLUSTER=.*/ECS_CLUSTER=web/' /etc/ecs/ecs.config", "web"),
            ("sed -i '/ECS_CLUSTER=/d' x\necho ECS_CLUSTER=web >> x", "web"),
            ("grep -q ECS_CLUSTER= x || echo ECS_CLUSTER=web >> x", "web"),
            ("echo ECS_CLUSTER=web >> x\ngrep ECS_CLUSTER= x", "web"),
            ("echo ECS_CLUSTER=web >> x\nC=$(grep 'A\\|ECS_CLUSTER=' x | cut -d= -f2)", "web"),
        ]);
    }

    #[test]
    fn cluster_is_read_from_printf() {
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
    fn shell_variables_are_resolved() {
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
    fn user_data_without_a_cluster_means_default() {
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
    fn invalid_cluster_name_is_unknown() {
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
    fn cluster_is_read_from_cloud_config() {
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
            // Without padding, `EOF` could be more base64.
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
    fn cluster_is_read_from_json() {
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
    fn cluster_is_read_from_bottlerocket_settings() {
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
    fn cluster_is_read_from_powershell() {
        check_powershell(&[
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
        ]);
    }

    /// Prepends a line that sets the agent's cluster to `web`.
    fn after_web(text: &str) -> String {
        format!("echo ECS_CLUSTER=web >> /etc/ecs/ecs.config\n{text}")
    }

    fn check_powershell(cases: &[(&str, &str)]) {
        for (text, expected) in cases {
            check(&[(&format!("<powershell>\n{text}\n</powershell>\n<persist>true</persist>"), expected)]);
        }
    }

    #[test]
    fn cluster_is_read_from_ignition() {
        let file = "ECS_CLUSTER=web\n";
        let packed = base64(gzip(file)).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        for (source, expected) in [
            ("data:,ECS_CLUSTER%3Dweb", "web"),
            ("data:,ECS_LOGLEVEL%3dinfo%0aECS_CLUSTER%3dweb%0a", "web"),
            ("data:,ECS_LOGLEVEL=info%0AECS_CLUSTER=web%0A", "web"),
            ("data:text/plain;charset=utf-8,ECS_CLUSTER%3Dweb%0A", "web"),
            ("data:,ECS_CLUSTER_NAME%3Dold", "(default)"),
            (&format!("data:text/plain;charset=utf-8;base64,{}", base64(file)), "web"),
            (&format!("data:;base64,{packed}"), "web"),
        ] {
            let contents = format!("{{\"compression\":\"gzip\",\"source\":\"{source}\"}}");
            check(&[
                (&format!("{{\"storage\":{{\"files\":[{{\"path\":\"x\",\"contents\":{contents}}}]}}}}"), expected),
                (&format!("{{\n  \"contents\": {{\n    \"source\": \"{source}\"\n  }}\n}}"), expected),
            ]);
        }
    }

    #[test]
    fn lookup_at_run_time_does_not_replace_a_name() {
        for lookup in [
            "ECS_CLUSTER=\\$(curl -s http://localhost:51678/v1/metadata | jq -r .Cluster)",
            "export ECS_CLUSTER=\\`curl -s x\\`",
            "ECS_CLUSTER=$(grep ECS_CLUSTER /etc/ecs/ecs.config | cut -d= -f2)",
            "ECS_CLUSTER=\\$1",
        ] {
            for header in [
                "cat > /opt/spot.sh <<'EOF'",
                "cat <<-\"EOF\" | sudo tee /opt/ecs-spot.sh > /dev/null",
                "cat <<EOF > x.sh",
            ] {
                let script = format!("{header}\n#!/bin/bash\n{lookup}\nEOF\n");
                let variable = script.replace("ECS_CLUSTER=", "C=");
                check(&[
                    (&after_web(&script), "web"),
                    (&format!("cat <<EOF >> /etc/ecs/ecs.config\nECS_CLUSTER=web\nEOF\n{script}"), "web"),
                    (&format!("C=web\n{variable}echo ECS_CLUSTER=$C >> /etc/ecs/ecs.config"), "web"),
                ]);
            }
            check(&[(&after_web(&lookup.replace('\\', "")), "web")]);
        }
        let file = |path, line| format!("- path: {path}\n  content: |\n    {line}\n");
        let files = [file("/etc/ecs/ecs.config", "ECS_CLUSTER=web"), file("/opt/spot.sh", "ECS_CLUSTER=$(curl x)")];
        check(&[
            (&format!("#cloud-config\nwrite_files:\n{}", files.concat()), "web"),
            (&format!("write_files:\n{}", files[0].clone() + &file("/opt/x", "ECS_CLUSTER=old")), "(unknown)"),
            (&format!("{}runcmd:\n- echo ECS_CLUSTER=old > /opt/x", files[0]), "(unknown)"),
            (&after_web("echo 'ECS_CLUSTER=$(curl x)' > /opt/spot.sh"), "web"),
            (&after_web("echo \"ECS_CLUSTER=\\$(curl x)\" > $SCRIPT"), "web"),
            ("ECS_CLUSTER=old\ncat <<EOF > $CONFIG\nECS_CLUSTER=$(curl x)\nEOF", "(unknown)"),
            ("C=web; ECS_CLUSTER=$C; echo ECS_CLUSTER=old > /opt/x", "(unknown)"),
            (&after_web("cat > /opt/x.sh <<EOF\nECS_CLUSTER=old\nEOF"), "web"),
            (&after_web("echo ECS_CLUSTER=$(curl x) >> /etc/ecs/ecs.config"), "(unknown)"),
            (&after_web("cat <<EOF > /etc/ecs/ecs.config\nECS_CLUSTER=$(curl x)\nEOF"), "(unknown)"),
            ("ECS_CLUSTER=old\nECS_CLUSTER=$(curl x)", "(unknown)"),
            (
                "ECS_CLUSTER=old\nECS_CLUSTER=$(curl x)\necho ECS_CLUSTER=$ECS_CLUSTER >> /etc/ecs/ecs.config",
                "(unknown)",
            ),
        ]);
    }

    #[test]
    fn cluster_is_read_from_sed() {
        for (text, expected) in [
            ("sed -i \"s/x/\\$ECS_CLUSTER_NAME/\" /etc/sysconfig/docker", "web"),
            ("sed -i \"s/x/$ECS_CLUSTER/\" /etc/sysconfig/docker", "web"),
            ("sed 's/ECS_CLUSTER=.*/ECS_CLUSTER=old/' /etc/ecs/ecs.config", "web"),
            ("C=$(sed -n 's/^ECS_CLUSTER=//p' /etc/ecs/ecs.config)", "web"),
            ("sed -i 's/ECS_CLUSTER=web/ECS_CLUSTER=old/' /etc/my.conf", "web"),
            ("sed -i 's/ECS_CLUSTER=old/ECS_CLUSTER=older/' /etc/ecs/ecs.config", "web"),
            ("sed -i 's/ECS_CLUSTER=web/ECS_CLUSTER=api/' /etc/ecs/ecs.config", "api"),
            ("sed -i s/web/api/ /etc/ecs/ecs.config", "api"),
            ("sed -i \"s/ECS_CLUSTER=.*/ECS_CLUSTER=$C/\" /etc/ecs/ecs.config", "(unknown)"),
            ("sed -i '/ECS_CLUSTER=/d' /etc/ecs/ecs.config", "(unknown)"),
            ("sed -i 's/\\(ECS_CLUSTER=\\).*/\\1old/' /etc/ecs/ecs.config", "(unknown)"),
        ] {
            check(&[(&after_web(text), expected)]);
        }
        check(&[
            ("echo ECS_CLUSTER=web >> /etc/ecs/ecs.config; sed -i 's/a/b/' /etc/sysconfig/docker", "web"),
            ("sed -i 's/ECS_CLUSTER=default/ECS_CLUSTER=web/' /etc/ecs/ecs.config", "web"),
            ("sudo sed -Ei.bak -e 's|^ECS_CLUSTER=.*|ECS_CLUSTER=\"web\"|g' /etc/ecs/ecs.config", "web"),
            ("C=web\nsed --in-place \"s/ECS_CLUSTER=.*/ECS_CLUSTER=$C/\" /etc/ecs/ecs.config", "web"),
            ("perl -pi -e 's/ECS_CLUSTER=default/ECS_CLUSTER=web/' /etc/ecs/ecs.config", "web"),
            ("sed s/ECS_CLUSTER=default/ECS_CLUSTER=web/ /opt/template > /etc/ecs/ecs.config", "web"),
        ]);
    }

    #[test]
    fn output_of_a_command_is_unknown() {
        check_powershell(&[
            ("$c = aws ec2 describe-tags --output text\nInitialize-ECSAgent -Cluster $c", "(unknown)"),
            ("$c = & aws ec2 describe-tags\nInitialize-ECSAgent -Cluster $c", "(unknown)"),
            ("$env:ECS_CLUSTER = hostname", "(unknown)"),
            ("$c = 'web' -replace 'w', 'x'\nInitialize-ECSAgent -Cluster $c", "(unknown)"),
            ("$c = 'web-{0}' -f $stage\nInitialize-ECSAgent -Cluster $c", "(unknown)"),
        ]);
    }

    #[test]
    fn condition_does_not_set_the_variable() {
        let set = "[Environment]::SetEnvironmentVariable('ECS_CLUSTER','web','Machine')\n";
        for text in [
            "[Environment]::GetEnvironmentVariable('ECS_CLUSTER','Machine')",
            "$c = [Environment]::GetEnvironmentVariable('ECS_CLUSTER', 'Machine')\nInitialize-ECSAgent -Cluster $c",
            "Initialize-ECSAgent -Cluster ([Environment]::GetEnvironmentVariable('ECS_CLUSTER','Machine'))",
            "if ([Environment]::GetEnvironmentVariable('ECS_CLUSTER','Machine') -ne 'old') { exit }",
            "if ((Get-Content x) -match 'ECS_CLUSTER=old') { exit }",
            "if (Select-String 'ECS_CLUSTER=old' x) { exit }",
        ] {
            check_powershell(&[(&format!("{set}{text}"), "web")]);
        }
        for text in [
            "if [[ \"ECS_CLUSTER=$X\" == \"ECS_CLUSTER=old\" ]]; then exit; fi",
            "if [ ECS_CLUSTER = old ]; then exit; fi",
            "while [ \"ECS_CLUSTER=old\" != \"$(head -1 x)\" ]; do sleep 1; done",
        ] {
            check(&[(&after_web(text), "web")]);
        }
    }

    #[test]
    fn comment_ends_with_its_line() {
        check(&[
            ("echo -e \"# x\\nECS_CLUSTER=web\" >> /etc/ecs/ecs.config", "web"),
            ("echo -e \"# x\\nECS_CLUSTER=web\n\" >> /etc/ecs/ecs.config", "web"),
            ("printf '# x\\n\\n# y\\nECS_CLUSTER=%s\\n' web", "web"),
            ("write_files:\n- content: \"# x\\nECS_CLUSTER=web\\n\"", "web"),
            ("\"#!/bin/bash\\n# x\\necho ECS_CLUSTER=web >> y\\n\"", "web"),
            ("{\"UserData\": \"#!/bin/bash\\necho -e \\\"# x\\\\nECS_CLUSTER=web\\\" >> y\"}", "web"),
            ("\"#!/bin/bash\\necho ECS_CLUSTER=web >> /etc/ecs/ecs.config\\nECS_CLUSTER=$(curl x)\\n\"", "web"),
            ("# echo -e \"x\\nECS_CLUSTER=old\"", "(default)"),
            ("echo -e \"x\\n# ECS_CLUSTER=old\"", "(default)"),
        ]);
    }

    #[test]
    fn fetched_configuration_may_name_the_cluster() {
        check(&[
            ("/opt/aws/bin/cfn-init -v --stack x", "(unknown)"),
            ("#cloud-config\nruncmd:\n- [ /opt/aws/bin/cfn-init, -v ]", "(unknown)"),
            ("<powershell>\ncfn-init.exe -v -s x\n</powershell>", "(unknown)"),
            ("# cfn-init", "(default)"),
            (&after_web("cfn-init -v"), "web"),
        ]);
    }

    #[test]
    fn cluster_is_read_from_windows_commands() {
        check_powershell(&[
            ("setx ECS_CLUSTER web /M", "web"),
            ("setx.exe /M ECS_CLUSTER \"web\"", "web"),
            ("$c = 'web'\nsetx ECS_CLUSTER $c /M", "web"),
            ("cmd /c \"setx ECS_CLUSTER web /M\"", "web"),
            ("setx ECS_CLUSTER $c /M", "(unknown)"),
            ("setx ECS_CLUSTER_NAME old /M", "(default)"),
            ("reg add \"HKLM\\Environment\" /v ECS_CLUSTER /t REG_SZ /d web /f", "web"),
            ("Set-Item Env:ECS_CLUSTER web", "web"),
            ("Set-Item -Path \"Env:\\ECS_CLUSTER\" -Value 'web'", "web"),
            ("Set-Item -Value:web -Path env:ecs_cluster", "web"),
            ("New-Item -Path Env:\\ -Name ECS_CLUSTER -Value web -Force", "web"),
            ("Set-Item Env:ECS_CLUSTER (Get-SSMParameter -Name x).Value", "(unknown)"),
            ("${env:ECS_CLUSTER} = 'web'", "web"),
        ]);
        check(&[
            ("<script>\nsetx ECS_CLUSTER web /M\n</script>", "web"),
            ("<script>setx ECS_CLUSTER %NAME% /M</script>", "(unknown)"),
            ("<script>\nrem setx ECS_CLUSTER old /M\n</script>", "(default)"),
        ]);
    }

    #[test]
    fn cluster_is_read_from_powershell_parameters() {
        check_powershell(&[
            ("Initialize-ECSAgent \u{2013}Cluster web", "web"),
            ("Initialize-ECSAgent \u{2014}Cluster 'web' \u{2014}EnableTaskIAMRole", "web"),
            ("Initialize-ECSAgent -Cluster:web", "web"),
            ("Initialize-ECSAgent -Cluster:'web'", "web"),
            ("$c = 'web'\nInitialize-ECSAgent -Cluster:$c", "web"),
            ("powershell -Command \"Initialize-ECSAgent -Cluster web\"", "web"),
            ("$p = @{Cluster='web'}; Initialize-ECSAgent @p", "web"),
            ("$p = @{\n  EnableTaskIAMRole = $true\n  Cluster = 'web'\n}\nInitialize-ECSAgent @P", "web"),
            ("$p = [ordered]@{ 'Cluster' = \"web\" }\nInitialize-ECSAgent @p", "web"),
            ("$p = @{}\n$p.Cluster = 'web'\nInitialize-ECSAgent @p", "web"),
            ("$p = @{Cluster='web'}\n$q = @{Cluster='old'}\nInitialize-ECSAgent @p", "web"),
            ("$p = @{ EnableTaskIAMRole = $true }\nInitialize-ECSAgent -Cluster web @p", "web"),
            ("$p = @{Cluster=(Get-X)}\nInitialize-ECSAgent @p", "(unknown)"),
            ("Initialize-ECSAgent @p", "(unknown)"),
            ("$p = @{Cluster='old'}\nNew-Thing @p", "(default)"),
        ]);
    }

    #[test]
    fn different_names_in_two_branches_are_unknown() {
        check(&[
            ("if x; then echo ECS_CLUSTER=a >> y; else echo ECS_CLUSTER=b >> y; fi", "(unknown)"),
            ("if x; then\n  C=a\nelif y; then\n  C=b\nelse\n  C=a\nfi\necho ECS_CLUSTER=$C", "(unknown)"),
            ("if x; then C=a; else C=b; C=c; fi; echo ECS_CLUSTER=$C", "(unknown)"),
            ("if x; then if y; then C=a; fi; else C=b; fi; echo ECS_CLUSTER=$C", "(unknown)"),
            ("case $X in\n x) C=a ;;\n *) C=b ;;\nesac\necho ECS_CLUSTER=$C", "(unknown)"),
            ("case $X in x) echo ECS_CLUSTER=a;; y) echo ECS_CLUSTER=b;; esac", "(unknown)"),
            ("runcmd:\n- [sh, -c, \"if x; then echo ECS_CLUSTER=a; else echo ECS_CLUSTER=b; fi\"]", "(unknown)"),
            ("C=a\nif x; then C=b; fi\necho ECS_CLUSTER=$C", "(unknown)"),
            ("C=$(x)\nif [ -z $C ]; then C=a; fi\necho ECS_CLUSTER=$C", "(unknown)"),
            ("[ x = y ] && C=a || C=b\necho ECS_CLUSTER=$C", "(unknown)"),
            ("if x; then echo ECS_CLUSTER=web >> y; else echo ECS_CLUSTER=web >> z; fi", "web"),
            ("if x; then C=a; C=web; fi; echo ECS_CLUSTER=$C", "web"),
            ("if x; then C=a; else C=b; fi; C=web; echo ECS_CLUSTER=$C", "web"),
            ("C=\nif x; then C=web; fi\necho ECS_CLUSTER=$C", "web"),
        ]);
        check_powershell(&[
            ("if ($x) { $c = 'a' } else { $c = 'b' }\nInitialize-ECSAgent -Cluster $c", "(unknown)"),
            ("if ($x){ $c = 'a' }else{ $c = 'b' }\n$env:ECS_CLUSTER = $c", "(unknown)"),
            (
                "if ($x) {\n  Initialize-ECSAgent -Cluster a\n}\nelse {\n  Initialize-ECSAgent -Cluster b\n}",
                "(unknown)",
            ),
            (
                "switch ($x) {\n  'x' { $c = 'a' }\n  default { $c = 'b' }\n}\nInitialize-ECSAgent -Cluster $c",
                "(unknown)",
            ),
            ("if ($x) { $p = @{Cluster='a'} } else { $p = @{Cluster='b'} }\nInitialize-ECSAgent @p", "(unknown)"),
        ]);
    }

    #[test]
    fn multi_line_comments_are_skipped() {
        for comment in [
            ": <<'X'\necho ECS_CLUSTER=old >> /etc/ecs/ecs.config\nX",
            ":<<X\nECS_CLUSTER=old\nX",
            "true <<-X\n\tECS_CLUSTER=old\n\tX",
            "<<\"X\"\nECS_CLUSTER=old\nX",
            ": '\nECS_CLUSTER=old\n'",
        ] {
            check(&[(comment, "(default)"), (&after_web(comment), "web")]);
        }
        for comment in ["<# Initialize-ECSAgent -Cluster old #>", "<#\n$env:ECS_CLUSTER = 'old'\n#>"] {
            check_powershell(&[
                (comment, "(default)"),
                (&format!("Initialize-ECSAgent -Cluster web\n{comment}"), "web"),
            ]);
        }
        check(&[(&format!(": $((A<<2))\n{}", after_web("")), "web")]);
    }

    #[test]
    fn unreadable_part_does_not_hide_other_parts() {
        let script = after_web("");
        let mut cut = gzip("echo ECS_LOGLEVEL=info".repeat(9));
        cut.truncate(30);
        assert_eq!(read([script.as_bytes(), &cut].concat()), "web");
        assert_eq!(read([&cut, script.as_bytes()].concat()), "web");
        assert_eq!(read([&cut[..], b"\n", &gzip(&script)].concat()), "web");
        assert_eq!(read(format!("{script}write_files:\n- content: {}", base64(&cut))), "web");
        assert_eq!(read(format!("- content: {}", base64(&cut))), "(unknown)");
    }

    #[test]
    fn mime_parts_are_unpacked() {
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
    fn encoding_ends_with_its_mime_part() {
        let encoded = "Content-Transfer-Encoding: quoted-printable\n\na=3D1\n--B\n";
        let parts = format!("Content-Type: multipart/mixed; boundary=B\n\n--B\n{encoded}\necho ECS_CLUSTER=41\n--B--");
        assert_eq!(read(parts), "41");
    }

    #[test]
    fn unreadable_user_data_is_unknown() {
        let script = "echo ECS_CLUSTER=web";
        let mut cut = gzip(script);
        cut.truncate(20);
        assert_eq!(read(cut), "(unknown)");
        assert_eq!(configured_cluster("no base64!"), ConfiguredCluster::Unknown);
        assert_eq!(
            configured_cluster(&format!(" {}\n", base64_lines(script.repeat(9), "\t"))),
            configured_cluster(&base64(script.repeat(9)))
        );
        assert_eq!(configured_cluster(&BASE64_STANDARD_NO_PAD.encode(script)), configured_cluster(&base64(script)));
        assert_eq!(read(format!("\u{feff}{script}")), "web");
        assert_eq!(read([b"\xff\xfe\n", script.as_bytes(), b"\n\xff"].concat()), "web");
    }

    #[test]
    fn unpacked_size_is_bounded() {
        let padded = |bytes: usize| gzip(format!("echo ECS_CLUSTER=web\n{}", " ".repeat(bytes)));
        assert_eq!(read(padded(200 << 10)), "web");
        assert_eq!(read(padded(INFLATED)), "(unknown)");
        assert_eq!(read([padded(INFLATED / 2), padded(INFLATED / 2)].concat()), "(unknown)", "in sum");
        let nest = |times| (0..times).fold(b"ECS_CLUSTER=web".to_vec(), |inner, _| gzip(inner));
        assert_eq!(read(nest(DEPTH - 1)), "web");
        assert_eq!(read(nest(DEPTH)), "(unknown)");
        let doubled = format!("A=xx\n{}ECS_CLUSTER=$A", "A=$A$A\n".repeat(1000));
        assert_eq!(read(doubled), "(unknown)");
        // These would recurse deeply, or take the square of their length.
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
    fn parsing_work_is_bounded() {
        // Formats that are each other's arguments: some kilobytes would become gigabytes.
        let format = format!("'ECS_CLUSTER={}' ", "%s".repeat(60));
        assert_eq!(read(gzip(format.repeat((200 << 10) / format.len()))), "(unknown)");
        assert_eq!(read(format!("{}ECS_CLUSTER=web", "A=x ".repeat(60 << 10))), "(unknown)");
        assert_eq!(read(format!("ECS_CLUSTER=web{}", "\n".repeat(200 << 10))), "(unknown)");
        let blob = base64(gzip("")) + "\n";
        assert_eq!(read(format!("ECS_CLUSTER=web\n{}", blob.repeat(1000))), "(unknown)");
        let text = "A=x ".repeat(60 << 10) + &"x".repeat(60 << 10);
        assert!(unpack::unpack(&base64(text)).is_none_or(|open| open.text.len() <= unpack::MAX_UNPACKED));
    }

    #[test]
    fn secrets_are_not_in_the_result() {
        for text in ["PASSWORD=hunter2\nECS_CLUSTER=$PASSWORD.", "ECS_CLUSTER=\"web hunter2\"", "hunter2"] {
            assert!(!format!("{:?}", configured_cluster(&base64(text))).contains("hunter2"));
        }
    }

    proptest! {
        #[test]
        fn no_text_causes_a_panic(text in r"([ -~\n\t]|ECS_CLUSTER=|\$\{|\\\n|%s|\PC){0,200}") {
            configured_cluster(&text);
            configured_cluster(&base64(&text));
            configured_cluster(&base64(gzip(&text)));
        }

        #[test]
        fn no_bytes_cause_a_panic(data in prop::collection::vec(any::<u8>(), 0..400)) {
            configured_cluster(&base64(&data));
            configured_cluster(&base64([GZIP, &data].concat()));
            configured_cluster(&base64(mime(&[("base64", &data), ("quoted-printable", &data)])));
        }

        #[test]
        fn packing_does_not_change_the_result(
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
