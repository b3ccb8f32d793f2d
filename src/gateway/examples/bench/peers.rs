//! What is measured beside the gateway: proxies that pass the same request to the same bank.

use std::path::Path;

use anyhow::Context;

use super::place::{Place, nginx, nginx_head, nginx_tls};
use super::processes::{Process, until};

/// How long one may take to listen.
const READY: std::time::Duration = std::time::Duration::from_secs(20);

/// A server under test.
pub struct Server {
    pub name: &'static str,
    pub process: Process,
    pub port: u16,
    /// What is asked of it.
    pub path: String,
}

/// All but the gateway, which the place has.
pub async fn started(place: &mut Place, pingora: Option<&Path>) -> anyhow::Result<Vec<Server>> {
    // Once through all, so that the front has the bank's answer and we know what the bank is asked.
    let (_, grant) = place.many().await?;
    let answer = place.read(&grant.token, "/v1/accounts").await?;
    std::fs::write(place.folder.join("answer.json"), &answer)?;
    let asked = place.asked_of_the_bank()?;
    let pki = place.pki();
    let (cert, root) = (pki.display().to_string(), pki.join("root.pem").display().to_string());
    let front = place.front();
    let folder = place.folder.clone();
    let identity = format!("{cert}/gateway-qwac.pem");
    let key = format!("{cert}/gateway-qwac.key");

    let text = format!(
        "{}  access_log off;\n  upstream bank {{ server 127.0.0.1:{front}; keepalive 64; keepalive_requests 100000000; }}\n  \
         server {{\n{}    location = /healthz {{ return 200; }}\n    location / {{\n      proxy_pass https://bank; proxy_http_version 1.1; proxy_set_header Connection \"\";\n      \
         proxy_ssl_certificate {identity}; proxy_ssl_certificate_key {key}; proxy_ssl_name localhost;\n      \
         proxy_ssl_trusted_certificate {root}; proxy_ssl_verify on;\n    }}\n  }}\n}}\n",
        nginx_head(&folder, "nginx"),
        nginx_tls(&pki, place.peer(0)),
    );
    std::fs::write(folder.join("nginx.conf"), text)?;

    for (name, files) in
        [("both", ["server.pem", "server.key"]), ("own", ["gateway-qwac.pem", "gateway-qwac.key"])]
    {
        let parts = files.map(|file| std::fs::read_to_string(pki.join(file)));
        let [first, second] = parts;
        std::fs::write(folder.join(format!("{name}.pem")), format!("{}{}", first?, second?))?;
    }
    let at = folder.display();
    let text = format!(
        "global\n  nbthread 1\n  no strict-limits\n  maxconn 16000\n  tune.ssl.cachesize 20000\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 600s\n  timeout server 60s\n  option http-keep-alive\n  http-reuse always\n\
         frontend tpp\n  bind 127.0.0.1:{} ssl crt {at}/both.pem ca-file {root} verify required alpn h2,http/1.1\n  http-request return status 200 if {{ path /healthz }}\n  default_backend bank\n\
         backend bank\n  server bank 127.0.0.1:{front} ssl crt {at}/own.pem ca-file {root} verify required sni str(localhost) verifyhost localhost\n",
        place.peer(1),
    );
    std::fs::write(folder.join("haproxy.cfg"), text)?;

    let text = format!(
        "{{\n\tadmin off\n\tauto_https off\n}}\nhttps://localhost:{} {{\n\tbind 127.0.0.1\n\
         \ttls {cert}/server.pem {cert}/server.key {{\n\t\tclient_auth {{\n\t\t\tmode require_and_verify\n\t\t\ttrusted_ca_cert_file {root}\n\t\t}}\n\t}}\n\
         \trespond /healthz 200\n\treverse_proxy https://127.0.0.1:{front} {{\n\t\theader_up Host localhost:{front}\n\t\ttransport http {{\n\t\t\ttls_client_auth {identity} {key}\n\
         \t\t\ttls_trusted_ca_certs {root}\n\t\t\ttls_server_name localhost\n\t\t\tkeepalive_idle_conns_per_host 64\n\t\t}}\n\t}}\n}}\n",
        place.peer(2),
    );
    std::fs::write(folder.join("Caddyfile"), text)?;

    let here = std::env::current_exe()?.display().to_string();
    let (haproxy, caddy) = (folder.join("haproxy.cfg"), folder.join("Caddyfile"));
    let (haproxy, caddy) = (haproxy.display().to_string(), caddy.display().to_string());
    let answer = folder.join("answer.json").display().to_string();
    let (port, port_of_proxy, bank) =
        (place.peer(3).to_string(), place.peer(4).to_string(), front.to_string());
    let bare = [&here, "bare", "--port", &port, "--pki", &cert, "--answer", &answer];
    let passes_on = [&here, "bare", "--port", &port_of_proxy, "--pki", &cert, "--bank", &bank];
    let mut servers = vec![Server {
        name: "nginx",
        process: nginx(&folder, "nginx", Some("0"))?,
        port: place.peer(0),
        path: asked.clone(),
    }];
    let mut others = vec![
        ("HAProxy", place.server("haproxy", &["haproxy", "-db", "-f", &haproxy]), 1, asked.as_str()),
        (
            "Caddy",
            place.server("caddy", &["caddy", "run", "--adapter", "caddyfile", "--config", &caddy]),
            2,
            &asked,
        ),
        ("bare axum", place.server("bare", &bare), 3, "/v1/accounts"),
        ("axum that passes on", place.server("proxy", &passes_on), 4, &asked),
    ];
    let pingora = pingora.map(|program| program.display().to_string());
    let port = place.peer(5).to_string();
    if let Some(program) = &pingora {
        others.push(("Pingora", place.server("pingora", &[program, &port, &cert, &bank]), 5, &asked));
    }
    for (name, plan, number, path) in others {
        let home = folder.display().to_string();
        // Caddy keeps things at home; one processor, as it has.
        let mut process = Process::planned(plan.with("HOME", &home).with("GOMAXPROCS", "1"));
        process.start()?;
        servers.push(Server { name, process, port: place.peer(number), path: path.to_owned() });
    }
    for server in &mut servers {
        let (port, process) = (server.port, &mut server.process);
        until(server.name, READY, async || {
            !process.lives() || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await?;
        process.still().with_context(|| server.name)?;
    }
    Ok(servers)
}
