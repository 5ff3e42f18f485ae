#include <boost/json.hpp>
#include <iostream>

#include "base/text.hpp"
#include "cli/commands.hpp"
#include "cli/daemon.hpp"
#include "cli/issuing.hpp"
#include "cli/revoking.hpp"

namespace cpns::cli {
namespace {

struct ca_options {
  issue_options issue;
  std::string kind, ca = "tls", out, csr;
  unsigned days = 0;
  bool json = false;
};

certificate_kind kind_of(const std::string& word) {
  return word == "server"  ? certificate_kind::server
         : word == "admin" ? certificate_kind::admin
                           : certificate_kind::gateway;
}

void print(const issued_files& made, bool json) {
  const auto ends = utc_text(unix_seconds(made.not_after));
  if (json) {
    boost::json::object out{
        {"certificate", made.certificate.string()}, {"uri", made.uri}, {"valid_until", ends}};
    if (!made.key.empty()) out["key"] = made.key.string();
    std::cout << boost::json::serialize(out) << "\n";
    return;
  }
  std::cout << "certificate       " << made.certificate.string() << "\n";
  if (!made.key.empty()) std::cout << "key               " << made.key.string() << "\n";
  std::cout << "uri               " << made.uri << "\nvalid until       " << ends << "\n";
}

int run_issue(ca_options& o, bool with_days) {
  o.issue.kind = kind_of(o.kind);
  o.issue.ca = o.ca;
  o.issue.out = o.out;
  o.issue.csr = o.csr;
  if (with_days) o.issue.days = o.days;
  block_signals();  // Ctrl-C must not leave a key without its certificate
  const auto made = issue_certificate(o.issue);
  if (!made) return report(made.error());
  print(*made, o.json);
  return exit_done;
}

struct revoking {
  revoke_options revoke;
  std::string ca = "tls", certificate;
  unsigned days = 0;
  bool renew = false, json = false;
};

void print(const revoke_outcome& r, bool json) {
  const auto ends = utc_text(unix_seconds(r.to));
  if (json) {
    boost::json::object out{{"crl", r.crl.string()}, {"revoked", r.revoked}, {"valid_until", ends}};
    if (!r.serial.empty()) {
      out["serial"] = r.serial;
      out["already"] = r.already;
    }
    if (!r.name.empty()) out["uri"] = r.name;
    if (r.others > 0) out["lists_of_other_cas"] = r.others;
    std::cout << boost::json::serialize(out) << "\n";
    return;
  }
  if (!r.serial.empty())
    std::cout << (r.already ? "already revoked   " : "revoked           ") << r.serial
              << (r.name.empty() ? "" : " " + r.name) << "\n";
  std::cout << "list              " << r.crl.string() << ", " << r.revoked
            << (r.revoked == 1 ? " certificate" : " certificates") << "\nvalid until       " << ends << "\n";
  if (r.others > 0)
    std::cout << "kept              " << r.others
              << (r.others == 1 ? " list of another CA" : " lists of other CAs") << "\n";
}

int run_revoke(revoking& o, bool with_days) {
  const bool named = !o.revoke.name.empty() || !o.certificate.empty() || !o.revoke.serial.empty();
  if (named == o.renew)
    return report(
        {errc::config_usage, "name a certificate (NAME, --certificate or --serial), or --renew alone"});
  o.revoke.ca = o.ca;
  o.revoke.certificate = o.certificate;
  if (with_days) o.revoke.days = o.days;
  block_signals();
  const auto done = revoke_certificate(o.revoke);
  if (!done) return report(done.error());
  print(*done, o.json);
  return exit_done;
}

void add_revoke(CLI::App& ca, int& code) {
  const auto o = std::make_shared<revoking>();
  auto* c =
      ca.add_subcommand("revoke", "Add a certificate to the revocation list ca.crl, or write the list again");
  c->add_option("NAME", o->revoke.name, "The certificate NAME.pem in the folder of the CA");
  c->add_option("--certificate", o->certificate, "The certificate's file, if it is elsewhere");
  c->add_option("--serial", o->revoke.serial, "The serial number in hexadecimal, if no file of it is left");
  c->add_flag("--renew", o->renew, "Revoke nothing, and write the list again with new dates");
  c->add_option("--ca", o->ca, "The folder of the CA, with ca.pem and ca.key")->capture_default_str();
  auto* days =
      c->add_option("--days", o->days,
                    "Days until the list ends; default: 365, or until the CA ends if that is earlier")
          ->check(CLI::Range(1, 3650));
  c->add_flag("--json", o->json, "Print the list, the serial number and the end as JSON");
  c->footer(
      R"(Servers and gateways refuse the certificates in the file of `tls.crl`, which they read again once a
minute and at SIGHUP. A server also ends the connections of a certificate that was revoked meanwhile.
Copy ca.crl to every machine that has a copy of it. Lists of other CAs in ca.crl are kept; on a machine
whose file has lists that this one has not, add them again.

NAME.pem is the newest certificate of that name: with `cpns ca issue --replace` revoke the old one first,
or by its serial number, which the server logs with gateway-connected.

Exit codes: 0 the list was written, 1 nothing was written, 2 invalid command line.

Examples:
  cpns ca revoke hall --ca trial/tls
  cpns ca revoke --serial 4F2AB1C09D4471E5A0C2B3D4E5F60718 --ca trial/tls
  cpns ca revoke --renew --days 30 --ca trial/tls --json)");
  c->callback([o, days, &code] { code = run_revoke(*o, days->count() > 0); });
}

}  // namespace

void add_ca(CLI::App& app, int& code) {
  auto* ca =
      app.add_subcommand("ca", "Issue and revoke certificates of the development CA that cpns init makes");
  ca->require_subcommand(1);
  ca->footer("Examples:\n  cpns ca issue gateway hall --ca trial/tls\n  cpns ca revoke hall --ca trial/tls");
  add_revoke(*ca, code);
  const auto o = std::make_shared<ca_options>();

  auto* c = ca->add_subcommand("issue", "Make a certificate for a gateway, a server or an administrator");
  c->add_option("KIND", o->kind, "gateway, server or admin")
      ->required()
      ->check(CLI::IsMember({"gateway", "server", "admin"}));
  c->add_option("NAME", o->issue.name,
                "In the certificate as urn:cpns:gw:NAME, urn:cpns:server:NAME or urn:cpns:admin:NAME; "
                "1 to 64 letters, digits, '.', '_' and '-'")
      ->required();
  c->add_option("--ca", o->ca, "The folder of the CA, with ca.pem and ca.key")->capture_default_str();
  c->add_option("--out", o->out, "The folder for NAME.pem and NAME.key; default: that of the CA");
  auto* days = c->add_option("--days", o->days,
                             "Days until the certificate ends; default: 824, or until the CA ends if that is "
                             "earlier")
                   ->check(CLI::Range(1, 3650));
  c->add_option("--dns", o->issue.dns,
                "A host name of the server, may be repeated; default without --ip: localhost")
      ->allow_extra_args(false);
  c->add_option("--ip", o->issue.ips,
                "An address of the server, may be repeated; default without --dns: 127.0.0.1 and ::1")
      ->allow_extra_args(false);
  c->add_option("--csr", o->csr,
                "Take the public key from this PEM request (PKCS#10), and write NAME.pem alone");
  c->add_flag("--replace", o->issue.replace, "Replace existing files");
  c->add_flag("--json", o->json, "Print the files, the URI and the end as JSON");
  c->footer(R"(Writes the certificate NAME.pem and its new private key NAME.key (mode 0600), both or neither.

With --csr the private key stays where it was made. Only the public key is taken from the request, after
its signature was verified: names and extensions of the request are ignored, the command line states
them. The key must be P-256, P-384, P-521, Ed25519, or RSA of 2048 to 8192 bits.

For development only: a reader of ca.key can make a certificate for every name.

Exit codes: 0 issued, 1 nothing was written, 2 invalid command line.

Examples:
  cpns ca issue gateway hall --ca trial/tls
  cpns ca issue server main2 --ca trial/tls --dns cpns.example.org --ip 192.0.2.7 --days 90
  cpns ca issue gateway hall --ca trial/tls --replace --json
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj / -keyout hall.key -out hall.csr
  cpns ca issue gateway hall --ca trial/tls --csr hall.csr)");
  c->callback([o, days, &code] { code = run_issue(*o, days->count() > 0); });
}

}  // namespace cpns::cli
