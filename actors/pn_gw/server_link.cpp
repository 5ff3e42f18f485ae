#include "actors/pn_gw/server_link.hpp"

#include <algorithm>
#include <deque>
#include <map>

#include "actors/pn_gw/enrolment.hpp"
#include "actors/system.hpp"
#include "base/log.hpp"
#include "crypto/scram.hpp"
#include "protocol/link_codec.hpp"

namespace cpns::actors {
namespace {

using namespace protocol;

constexpr milliseconds period{1000};
constexpr milliseconds report_delay{50};  // reports that come together travel together
constexpr seconds enrolment_pause{30};    // between attempts to enrol

struct server_link_state {
  struct pending {
    device_actor device;
    std::shared_ptr<const key_assignment_request> body;
    time_point sent = time_zero;  ///< time_zero: not on this connection
  };
  struct report {
    device_actor device;
    epoch which;
    bool in_flight = false;
  };

  server_link_parts parts;
  std::shared_ptr<const secret32> exporter;  ///< of the connection; null when there is none
  std::optional<user_credentials> credentials;
  bool saving = false;
  bool unsaved = false;  ///< the store did not take the credentials
  std::map<request_id, pending> requests;
  std::map<entity_id, request_id> by_entity;  ///< one request a device: a later one takes its place
  std::deque<request_id> order;               ///< in which they were asked
  std::size_t in_flight = 0;
  std::vector<device_actor> wants_nonce;
  std::optional<request_id> nonce_request, challenge_request;
  time_point nonce_asked{}, challenge_asked{}, enrol_not_before{}, save_not_before{};
  std::map<entity_id, report> reports;
  std::optional<request_id> report_request;
  time_point report_sent{};
  bool flush_armed = false;
};

class server_link {
 public:
  server_link(server_link_actor::pointer self, server_link_parts parts) : self_(self) {
    s_.parts = std::move(parts);
    if (auto kept = s_.parts.store->credentials(s_.parts.user); kept)
      s_.credentials = std::move(*kept);
    else
      log::error(gateway_component, "credentials-unreadable", kept.error().message());
    self_->delayed_send(server_link_actor{self_}, period, link_timer{});
  }

  void want_nonce(const link_want_nonce& m) {
    if (const auto nonce = s_.parts.nonces->fresh(now())) return self_->send(m.device, gw_nonce{nonce});
    if (!s_.exporter) return self_->send(m.device, gw_nonce{std::nullopt});
    s_.wants_nonce.push_back(m.device);
    if (!s_.nonce_request) ask_nonce();
  }

  void ask(const link_ask& m) {
    auto& latest = s_.by_entity[m.body->entity];
    if (latest != m.id) (void)finish(std::exchange(latest, m.id));
    if (s_.requests.emplace(m.id, server_link_state::pending{m.device, m.body, time_zero}).second)
      s_.order.push_back(m.id);
    else
      s_.requests[m.id] = {m.device, m.body, s_.requests[m.id].sent};
    pump();
  }

  void report(const link_report& m) {
    s_.reports[m.entity] = {m.device, m.which, false};
    if (s_.exporter && !s_.report_request && !s_.flush_armed) {
      s_.flush_armed = true;
      self_->delayed_send(server_link_actor{self_}, report_delay, link_flush{});
    }
  }

  void up(const link_up& m) {
    log::info(gateway_component, "server-connected",
              "mutual authentication and key exchange are done (step 0)",
              {{"server", m.server}, {"step", "0"}});
    s_.exporter = m.exporter;
    forget_connection();
    if (s_.credentials)
      ask_nonce();
    else
      enrol();
    pump();
    flush_reports();
  }

  void down(const link_down& m) {
    log::warn(gateway_component, "server-unreachable", m.why);
    s_.exporter.reset();
    forget_connection();
    fail_nonces();
  }

  void frames(const link_frames& m) {
    for (const auto& f : *m.batch) {
      auto answer = decode_link_answer(f.expose());
      if (!answer) {
        log::error(gateway_component, "bad-answer", answer.error().message());
        continue;
      }
      take(*answer);
    }
    pump();
  }

  void timer() {
    const auto t = now();
    if (s_.unsaved && t >= s_.save_not_before) save_credentials();
    if (s_.exporter) {
      for (auto& [id, p] : s_.requests)
        if (p.sent != time_zero && t - p.sent > s_.parts.request_timeout) {
          p.sent = time_zero;  // asked again with the same id
          --s_.in_flight;
        }
      if (s_.nonce_request && t - s_.nonce_asked > s_.parts.request_timeout) {
        s_.nonce_request.reset();
        fail_nonces();
      }
      if (s_.challenge_request && t - s_.challenge_asked > s_.parts.request_timeout)
        s_.challenge_request.reset();
      if (!s_.credentials && t >= s_.enrol_not_before) enrol();
      if (s_.report_request && t - s_.report_sent > s_.parts.request_timeout) end_report();
      pump();
      flush_reports();
    }
    self_->delayed_send(server_link_actor{self_}, period, link_timer{});
  }

  void saved(const link_saved& m) {
    s_.saving = false;
    if (m.outcome) {
      log::info(gateway_component, "enrolled",
                "ClientKey is stored; the password file is not needed any more");
    } else {
      s_.unsaved = true;
      s_.save_not_before = now() + enrolment_pause;
      log::error(gateway_component, "credentials-not-written", m.outcome.error().message(),
                 {{"what", "keep the password file; tried again every 30 s"}});
    }
    if (ending_) end();
  }

  void flush() {
    s_.flush_armed = false;
    flush_reports();
  }

  /// Ends when the write that is under way is done with.
  void put_down() {
    ending_ = true;
    if (!s_.saving) end();
  }

 private:
  void end() {
    s_ = {};
    self_->quit();
  }
  [[nodiscard]] time_point now() const { return s_.parts.clock(); }

  void send(const request_id& id, decltype(link_request::body) body) {
    s_.parts.send(encode(link_request{id, s_.parts.incarnation, std::move(body)}));
  }
  request_id fresh_id() { return crypto::system_entropy().draw_id<request_id>(); }

  void forget_connection() {
    for (auto& [id, p] : s_.requests) p.sent = time_zero;
    s_.in_flight = 0;
    s_.nonce_request.reset();
    s_.challenge_request.reset();
    s_.enrol_not_before = time_zero;
    end_report();
  }

  void ask_nonce() {
    s_.nonce_request = fresh_id();
    s_.nonce_asked = now();
    send(*s_.nonce_request, issuer_nonce_request{});
  }
  void fail_nonces() {
    for (auto& d : std::exchange(s_.wants_nonce, {})) self_->send(d, gw_nonce{std::nullopt});
  }
  void answer_nonces() {
    for (auto& d : std::exchange(s_.wants_nonce, {})) self_->send(d, gw_nonce{s_.parts.nonces->fresh(now())});
  }

  void enrol() {
    if (s_.challenge_request) return;
    s_.challenge_request = fresh_id();
    s_.challenge_asked = now();
    send(*s_.challenge_request, user_challenge{s_.parts.user});
  }

  /// Sends what waits, as far as the connection, the credentials and the bound allow.
  void pump() {
    if (!s_.exporter || !s_.credentials) return;
    const auto& suite = crypto::openssl_suite();
    for (const auto& id : s_.order) {
      if (s_.in_flight >= s_.parts.requests_max) return;
      auto& p = s_.requests.at(id);
      if (p.sent != time_zero) continue;
      auto body = *p.body;
      body.user = s_.parts.user;
      const auto message = crypto::scram_auth_message(*s_.exporter, suite.sha256(encode_for_proof(body)));
      body.proof = crypto::scram_proof(suite, s_.credentials->client_key, message);
      p.sent = now();
      ++s_.in_flight;
      send(id, std::move(body));
    }
  }

  void take(link_answer& a) {
    s_.parts.incarnation = std::max(s_.parts.incarnation, a.incarnation);
    s_.parts.nonces->put(a.issuer_nonce, now());
    if (s_.nonce_request == a.id) s_.nonce_request.reset();
    answer_nonces();
    std::visit([&](auto& body) { take(a, body); }, a.body);
  }

  void take(const link_answer&, const issuer_nonce_answer&) {}

  void take(const link_answer& a, const user_challenge_answer& body) {
    if (s_.challenge_request != a.id) return;
    s_.challenge_request.reset();
    auto made = credentials_from_password(s_.parts.user, body, s_.parts.password_file);
    if (!made) {
      s_.enrol_not_before = now() + enrolment_pause;
      return log::error(gateway_component, "not-enrolled", made.error().message(),
                        {{"what", "no key can be assigned until this is mended; tried again every 30 s"}});
    }
    s_.credentials = std::move(*made);
    save_credentials();
  }

  void save_credentials() {
    s_.saving = true;
    s_.unsaved = false;
    s_.parts.store->save(*s_.credentials, [me = server_link_actor{self_}](const status& outcome) {
      caf::anon_send(me, link_saved{outcome});
    });
  }

  void take(const link_answer& a, assigned_keys& body) {
    if (auto p = finish(a.id))
      self_->send(p->device,
                  gw_response{a.id, std::make_shared<const assigned_keys>(std::move(body)), a.incarnation});
  }

  void take(const link_answer& a, const refusal& body) {
    if (s_.report_request == a.id) return end_report();
    if (s_.challenge_request == a.id) {
      s_.challenge_request.reset();
      s_.enrol_not_before = now() + std::max<seconds>(enrolment_pause, seconds{body.retry_after});
      return log::error(gateway_component, "not-enrolled", body.reason,
                        {{"status", std::string{name_of(body.status)}}});
    }
    const auto p = finish(a.id);
    if (!p) return;
    self_->send(p->device, gw_refusal{a.id, body});
    if (body.status == link_status::unknown_user_or_bad_proof) user_refused();
  }

  /// The salt of the enrolment stands, whatever the server says now, until the user writes the password file
  /// again: that is the user's word.
  void user_refused() {
    const auto& file = s_.parts.password_file;
    log::error(gateway_component, "user-refused",
               "the server does not accept this user and password: check `user`; if the password is another "
               "one, write it to user_password_file",
               {{"user", s_.parts.user.text()}, {"user_password_file", file.string()}});
    const auto written = password_time(file);
    if (written != 0 && s_.credentials && written != s_.credentials->password_time) enrol();
  }

  void take(const link_answer& a, const epoch_report_answer& body) {
    if (s_.report_request != a.id) return;
    for (const auto& [entity, outcome] : body.entries) {
      const auto it = s_.reports.find(entity);
      if (it == s_.reports.end() || !it->second.in_flight) continue;
      self_->send(it->second.device, gw_report_outcome{it->second.which, outcome});
      s_.reports.erase(it);
    }
    end_report();
    flush_reports();
  }

  std::optional<server_link_state::pending> finish(const request_id& id) {
    const auto it = s_.requests.find(id);
    if (it == s_.requests.end()) return std::nullopt;
    auto out = std::move(it->second);
    if (out.sent != time_zero) --s_.in_flight;
    if (const auto latest = s_.by_entity.find(out.body->entity);
        latest != s_.by_entity.end() && latest->second == id)
      s_.by_entity.erase(latest);
    s_.requests.erase(it);
    s_.order.erase(std::find(s_.order.begin(), s_.order.end(), id));
    return out;
  }

  void flush_reports() {
    if (!s_.exporter || s_.report_request || s_.reports.empty()) return;
    epoch_report m;
    for (auto& [entity, r] : s_.reports) {
      if (m.entries.size() >= reports_in_message_max) break;
      m.entries.emplace_back(entity, r.which);
      r.in_flight = true;
    }
    s_.report_request = fresh_id();
    s_.report_sent = now();
    send(*s_.report_request, std::move(m));
  }
  void end_report() {
    s_.report_request.reset();
    for (auto& [entity, r] : s_.reports) r.in_flight = false;
  }

  server_link_actor::pointer self_;
  server_link_state s_;
  bool ending_ = false;
};

}  // namespace

server_link_actor spawn_server_link(caf::actor_system& system, server_link_parts parts) {
  auto shared = std::make_shared<server_link_parts>(std::move(parts));
  return system.spawn([shared](server_link_actor::pointer self) -> server_link_actor::behavior_type {
    report_exceptions(self, "server_link");
    auto l = std::make_shared<server_link>(self, std::move(*shared));
    return {
        [l](const link_want_nonce& m) { l->want_nonce(m); },
        [l](const link_ask& m) { l->ask(m); },
        [l](const link_report& m) { l->report(m); },
        [l](const link_up& m) { l->up(m); },
        [l](const link_down& m) { l->down(m); },
        [l](const link_frames& m) { l->frames(m); },
        [l](const link_timer&) { l->timer(); },
        [l](const link_flush&) { l->flush(); },
        [l](const link_saved& m) { l->saved(m); },
        [l](const link_put_down&) { l->put_down(); },
    };
  });
}

}  // namespace cpns::actors
