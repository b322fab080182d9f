//! Elastic network interfaces of tasks.

use crate::arn;

/// The network interface of a task, which is deleted with it.
#[derive(Clone, Debug)]
pub(crate) struct NetworkInterface {
    /// Its id, `eni-` and 17 hexadecimal digits.
    pub(crate) id: String,
    /// The id of its attachment to the task.
    pub(crate) attachment: String,
    pub(crate) mac: String,
    pub(crate) private_ip: String,
    pub(crate) public_ip: Option<String>,
    pub(crate) subnet: String,
    pub(crate) security_groups: Vec<String>,
}

impl NetworkInterface {
    /// The network interface of the task with this position in the order of placement, on which its address depends.
    pub(super) fn new(order: usize, subnet: &str, security_groups: &[String], public: bool) -> Self {
        let [.., a, b, c] = (order + 10).to_be_bytes();
        Self {
            id: format!("eni-{}", arn::hex(17)),
            attachment: arn::uuid(),
            mac: format!("0a:58:0a:{a:02x}:{b:02x}:{c:02x}"),
            private_ip: format!("10.{}.{b}.{c}", 128_u8.wrapping_add(a)),
            public_ip: public.then(|| format!("198.51.{b}.{c}")),
            subnet: subnet.to_owned(),
            security_groups: security_groups.to_vec(),
        }
    }
}
