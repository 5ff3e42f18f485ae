#include "actors/pn_gw/server_link.hpp"

#include <algorithm>

#include "actors/pn_gw/enrolment.hpp"
#include "actors/pn_gw/link_lines.hpp"
#include "actors/pn_gw/link_view.hpp"
#include "actors/pn_gw/node_follower.hpp"
#include "actors/pn_gw/password_change.hpp"
#include "actors/system.hpp"
#include "base/log.hpp"
#include "base/seldom.hpp"
#include "protocol/codec.hpp"

namespace cpns::actors {
namespace {

using namespace protocol;

class server_link {
 public:
  server_link(server_link_actor::pointer self, server_link_parts parts)
      : self_(self), passwords_(parts.user, parts.password_file, changes(), parts.record),
        follower_(parts.servers, parts.node_timeout) {
    s_.parts = std::move(parts);
    s_.window = send_window<time_point>{s_.parts.requests_max};
    if (auto kept = s_.parts.store->credentials(s_.parts.user); kept)
      s_.credentials = std::move(*kept);
    else
      log::error(gateway_component, "credentials-unreadable", kept.error().message());
    s_.parts.counted.enrolled.set(s_.credentials ? 1 : 0);
    s_.last_look = now();
    s_.state_since = s_.wall();
    self_->delayed_send(server_link_actor{self_}, link_period, link_timer{});
  }

  void want_nonce(const link_want_nonce& m) {
    if (const auto nonce = s_.parts.nonces->fresh(now())) return self_->send(m.device, gw_nonce{nonce});
    s_.wants_nonce.push_back(m);
    if (!s_.exporter && !moving_) return fail_nonces();
    if (s_.exporter && !s_.nonce_request && !follower_.leaving(now())) ask_nonce();
  }

  void ask(const link_ask& m) {
    auto& latest = s_.by_entity[m.body->entity];
    if (latest != m.id) (void)s_.finish(std::exchange(latest, m.id));
    const auto [at, fresh] = s_.requests.try_emplace(m.id);
    if (fresh) s_.order.push_back(m.id);
    auto& p = at->second;
    p.device = m.device;
    p.body = m.body;
    p.asked = now();
    pump();
  }

  void report(const link_report& m) {
    s_.reports.add(now(), m.entity, m.which);
    s_.reporters[m.entity] = m.device;
    if (s_.exporter && !s_.report_request && !s_.flush_armed) {
      s_.flush_armed = true;
      self_->delayed_send(server_link_actor{self_}, report_delay, link_flush{});
    }
  }

  void up(const link_up& m) {
    link_lines::connected(m.server);
    s_.parts.counted.up();
    forget_connection();
    moving_ = false;
    follower_.up(m.server, m.may_ask);
    s_.connection = m.connection;
    s_.exporter = m.exporter;
    s_.server = m.server;
    s_.certificate = m.certificate;
    s_.state_since = s_.wall();
    if (s_.credentials || !s_.wants_nonce.empty())
      ask_nonce();
    else if (wants_to_enrol(now()))
      enrol();
    pump();
    flush_reports();
  }

  void down(const link_down& m) {
    s_.parts.counted.down(m.planned || m.moving);
    if (m.moving) return;  // move() has done the rest
    link_lines::disconnected(m.planned, m.why, s_.credentials.has_value());
    if (!m.planned) s_.note_failure(m.why);
    if (m.connection == s_.connection) lose_connection();
    if (std::exchange(moving_, false)) fail_nonces();
  }

  void frames(const link_frames& m) {
    std::size_t size = 0;
    for (const auto& f : *m.batch) size += f.size();
    s_.parts.taken(m.connection, size);
    if (m.connection != s_.connection) return;  // of an old connection; its requests were repeated
    s_.last_frame = now();
    for (const auto& f : *m.batch) {
      if (auto ack = follower_.take(f.expose(), now(), s_.parts.incarnation, crypto::system_entropy())) {
        acknowledge(*ack);
        continue;
      }
      auto answer = decode_link_answer(f.expose());
      if (!answer) {
        log_bad(answer.error());
        continue;
      }
      take(*answer);
    }
    s_.unanswered_since = waits_for_an_answer() ? s_.last_frame : time_never;
    pump();
    look();
    if (!s_.block.active() && !std::exchange(s_.answers, true)) notify(s_.wait_for_server);
  }

  void timer() {
    const auto t = now();
    const bool slept = t - std::exchange(s_.last_look, t) > asleep_after;
    if (s_.unsaved && t >= s_.save_not_before) save_credentials();
    passwords_.timer(link_state());
    drop_old_requests(t);
    if (s_.exporter && t - s_.unanswered_since >= 2 * s_.parts.request_timeout)
      give_up_connection(2 * s_.parts.request_timeout);
    for (auto& [device, no] : s_.give_up(t)) self_->send(device, std::move(no));
    if (s_.exporter) {
      if (s_.nonce_request && t - s_.nonce_asked > s_.parts.request_timeout) {
        s_.nonce_request.reset();
        fail_nonces();
      }
      if (slept && !s_.nonce_request) ask_nonce();
      if (s_.challenge_request && t - s_.challenge_asked > s_.parts.request_timeout)
        s_.challenge_request.reset();
      if (wants_to_enrol(t)) enrol();
      if (s_.report_request && t - s_.report_sent > s_.parts.request_timeout) end_report(seconds{0});
      pump();
      flush_reports();
    }
    self_->delayed_send(server_link_actor{self_}, link_period, link_timer{});
  }

  /// Leaves the server if it asked for that, or if it is silent; or asks it for a sign of life.
  void look(bool by_timer = false) {
    if (by_timer) look_at_ = time_never;
    if (!s_.exporter) return;
    const auto t = now();
    switch (follower_.judge(t, s_.unanswered_since)) {
    case node_follower::silence_t::leave: return give_up_connection(follower_.silence());
    case node_follower::silence_t::ask: ask_nonce(); break;
    case node_follower::silence_t::nothing: break;
    }
    if (follower_.leaving(t) && !waits_for_an_answer()) return move();
    look_later();
  }

  void saved(const link_saved& m) {
    s_.saving = false;
    const bool changed = passwords_.saved(m.outcome);
    if (m.outcome && !changed) link_lines::enrolled();
    if (!m.outcome) {
      s_.unsaved = true;
      s_.save_not_before = now() + enrolment_pause;
      link_lines::credentials_not_written(m.outcome.error().message());
    }
    if (ending_) end();
  }

  void flush() {
    s_.flush_armed = false;
    flush_reports();
  }

  [[nodiscard]] gw_view describe() const { return {describe_link(s_, follower_, now())}; }

  void reload(const link_reload& m) {
    passwords_.reload(m.password_file);
    s_.enrol_not_before = time_zero;
  }

  caf::typed_response_promise<link_password_answer> set_password(const link_new_password& m) {
    auto promise = self_->make_response_promise<link_password_answer>();
    passwords_.set(link_state(), *m.password, [promise](result<password_outcome> outcome) mutable {
      const bool unchanged = outcome && outcome->unchanged;
      promise.deliver(link_password_answer{std::move(outcome).map([](const auto&) {}), unchanged});
    });
    return promise;
  }

  /// Ends when the pending write has completed.
  void shut_down() {
    ending_ = true;
    passwords_.interrupted(link_state());
    if (!s_.saving) end();
  }

 private:
  void end() {
    s_ = {};
    self_->quit();
  }
  [[nodiscard]] time_point now() const { return s_.parts.clock(); }

  [[nodiscard]] password_change::link_state link_state() const {
    return {now(), s_.exporter != nullptr, s_.credentials, s_.user_refused};
  }
  password_change::callbacks changes() {
    return {[this](password_change::request_body body) {
              const auto id = fresh_id();
              send(id, std::move(body));
              return id;
            },
            [this](const key_assignment_request& r, const user_credentials& c) {
              return proof_of(r, c, *s_.exporter);
            },
            [this](user_credentials made) { use(std::move(made)); }};
  }
  /// Requests in flight keep the proof that they were sent with; see take(refusal).
  void use(user_credentials made) {
    s_.credentials = std::move(made);
    s_.user_refused = false;
    s_.parts.counted.enrolled.set(1);
    ++s_.key_number;
    save_credentials();
    notify(s_.wait_for_user);
  }

  void send(const request_id& id, decltype(link_request::body) body) {
    if (s_.unanswered_since == time_never) s_.unanswered_since = now();
    look_later();
    s_.parts.send(s_.connection, encode(link_request{id, s_.parts.incarnation, std::move(body)}));
  }
  void acknowledge(result<bytes>& frame) {
    if (!frame) return log_bad(frame.error());
    s_.parts.send(s_.connection, std::move(*frame));
  }
  void log_bad(const error& why) {
    if (bad_answers_.due(now(), why.message())) log::error(gateway_component, "bad-answer", why.message());
  }
  void look_later() {
    const auto t = now();
    const auto at = follower_.next_look(t, s_.unanswered_since);
    if (at >= look_at_) return;
    look_at_ = at;
    self_->delayed_send(server_link_actor{self_}, std::max(milliseconds{0}, at - t), link_look{});
  }
  /// To the next server: requests and wishes for a nonce wait for that connection.
  void move() {
    link_lines::moving(s_.server);
    s_.parts.leave(s_.connection);
    moving_ = true;
    lose_connection();
  }
  request_id fresh_id() { return crypto::system_entropy().draw_id<request_id>(); }

  void forget_connection() {
    passwords_.interrupted(link_state());
    follower_.down();
    s_.forget_connection(now());
  }

  void lose_connection() {
    if (s_.exporter) s_.state_since = s_.wall();
    s_.exporter.reset();
    s_.connection = 0;
    forget_connection();
    if (!moving_) fail_nonces();
  }

  /// The server is frozen or the network dropped the connection. The uplink reports the end.
  void give_up_connection(milliseconds silence) {
    s_.parts.give_up(s_.connection, "no data from the server for " + std::to_string(silence.count()) +
                                        " ms with requests pending; trying the next server");
    lose_connection();
  }

  [[nodiscard]] bool waits_for_an_answer() const {
    return s_.in_flight > 0 || s_.nonce_request || s_.challenge_request || s_.report_request ||
           passwords_.pending();
  }

  /// Their devices have given up: an answer now would spend an index that no device waits for.
  void drop_old_requests(time_point t) {
    for (const auto& id : s_.old_requests(t))
      if (auto p = s_.finish(id))
        add_waiting(s_.credentials ? s_.wait_for_server : s_.wait_for_user, p->body->entity, p->device);
  }

  void notify(waiting_devices& list) {
    for (auto& [id, d] : std::exchange(list, {})) self_->send(d, gw_server_ready{});
  }

  void ask_nonce() {
    s_.nonce_request = fresh_id();
    s_.nonce_asked = now();
    send(*s_.nonce_request, issuer_nonce_request{});
  }
  void fail_nonces() {
    for (auto& m : std::exchange(s_.wants_nonce, {})) {
      add_waiting(s_.wait_for_server, m.entity, m.device);
      self_->send(m.device, gw_nonce{std::nullopt});
    }
  }
  void answer_nonces() {
    for (auto& m : std::exchange(s_.wants_nonce, {}))
      self_->send(m.device, gw_nonce{s_.parts.nonces->fresh(now())});
  }

  /// True without credentials, or if the user wrote the password file again after a refusal.
  [[nodiscard]] bool wants_to_enrol(time_point t) const {
    if (s_.challenge_request || passwords_.pending() || (s_.credentials && !s_.user_refused)) return false;
    const auto written = password_time(passwords_.file());
    if (s_.credentials && (written == 0 || written == s_.credentials->password_time)) return false;
    return written != s_.password_tried || t >= s_.enrol_not_before;
  }

  void enrol() {
    if (s_.challenge_request) return;
    s_.password_tried = password_time(passwords_.file());
    s_.challenge_request = fresh_id();
    s_.challenge_asked = now();
    send(*s_.challenge_request, user_challenge{s_.parts.user});
  }

  /// Sends pending requests, as far as the connection, the credentials and the window allow.
  void pump() {
    if (!s_.exporter || !s_.credentials || follower_.leaving(now())) return;
    // A wrong proof would make the server delay the verdict on the new password.
    if (s_.user_refused && passwords_.pending()) return;
    for (const auto& id : s_.order) {
      if (s_.in_flight >= s_.window.limit()) return;
      auto& p = s_.requests.at(id);
      if (p.sent != time_zero || p.not_before > now()) continue;
      auto body = *p.body;
      body.user = s_.parts.user;
      body.proof = proof_of(body, *s_.credentials, *s_.exporter);
      p.key = s_.key_number;
      p.sent = now();
      p.known = true;
      ++p.sends;
      ++s_.in_flight;
      send(id, std::move(body));
    }
  }

  void take(link_answer& a) {
    s_.parts.incarnation = std::max(s_.parts.incarnation, a.incarnation);
    s_.parts.nonces->put(a.issuer_nonce, now());
    if (s_.nonce_request == a.id) s_.nonce_request.reset();
    answer_nonces();
    if (s_.block.follow(a, now())) s_.answers = false;
    if (passwords_.take(link_state(), a)) return;
    if (s_.requests.count(a.id) != 0) s_.parts.counted.answered(a.body);
    std::visit([&](auto& body) { take(a, body); }, a.body);
  }

  void take(const link_answer&, const issuer_nonce_answer&) {}

  void take(const link_answer& a, const user_challenge_answer& body) {
    if (s_.challenge_request != a.id) return;
    s_.challenge_request.reset();
    if (passwords_.pending() || (s_.credentials && !s_.user_refused)) return;  // an operator was faster
    auto made = credentials_from_password(s_.parts.user, body, passwords_.file());
    if (!made)
      return not_enrolled(made.error().message(), enrolment_pause,
                          "no key can be assigned until this is fixed; retrying every 30 s");
    passwords_.enrol(link_state(), std::move(*made),
                     [this](auto proven, seconds retry_after) { judged(std::move(proven), retry_after); });
  }
  void judged(result<user_credentials> proven, seconds retry_after) {
    if (proven) return use(std::move(*proven));
    if (ending_) return;
    if (proven.error() != errc::peer_bad_tag)
      return not_enrolled(proven.error().detail + ", so the password is not proven yet",
                          std::max<seconds>(enrolment_pause, retry_after), link_lines::keep_the_file);
    // Perhaps the user is added to the server, or gets this password, only now.
    s_.enrol_not_before = now() + refused_enrolment_pause;
    user_refused();
  }
  void not_enrolled(const std::string& why, seconds pause, const char* what) {
    s_.enrol_not_before = now() + pause;
    s_.note_failure("not enrolled: " + why);
    link_lines::not_enrolled(why, what);
  }

  void save_credentials() {
    s_.saving = true;
    s_.unsaved = false;
    s_.parts.store->save(*s_.credentials, [me = server_link_actor{self_}](const status& outcome) {
      caf::anon_send(me, link_saved{outcome});
    });
  }

  void take(const link_answer& a, assigned_keys& body) {
    s_.window.answered();
    if (auto p = s_.finish(a.id))
      self_->send(p->device,
                  gw_response{a.id, std::make_shared<const assigned_keys>(std::move(body)), a.incarnation});
  }

  void take(const link_answer& a, const refusal& body) {
    if (s_.report_request == a.id) return end_report(seconds{body.retry_after});
    if (s_.challenge_request == a.id) {
      s_.challenge_request.reset();
      return not_enrolled("the server answers " + std::string{name_of(body.status)} + ": " + body.reason,
                          std::max<seconds>(enrolment_pause, seconds{body.retry_after}),
                          link_lines::keep_the_file);
    }
    if (s_.signed_again(a.id, body) || s_.asked_again(a.id, body, now())) return;  // frames() pumps
    const auto p = s_.finish(a.id);
    if (!p) return;
    self_->send(p->device, gw_refusal{a.id, body});
    if (body.status == link_status::gateway_blocked)
      add_waiting(s_.wait_for_server, p->body->entity, p->device);
    if (body.status != link_status::unknown_user_or_bad_proof) return;
    add_waiting(s_.wait_for_user, p->body->entity, p->device);
    user_refused();
  }

  /// The gateway ignores a salt that it did not ask for, and asks for none by itself now: only the user can start
  /// a new enrolment, by writing the password file again. The timer checks the file.
  void user_refused() {
    const auto t = now();
    s_.note_failure("the server rejects this user and password");
    s_.parts.counted.enrolled.set(0);
    if (!std::exchange(s_.user_refused, true) || t - s_.refusal_logged_at >= refusal_pause) {
      s_.refusal_logged_at = t;
      link_lines::user_refused(s_.parts.user, passwords_.file());
    }
    if (wants_to_enrol(t)) enrol();
  }

  void take(const link_answer& a, const epoch_report_answer& body) {
    if (s_.report_request != a.id) return;
    for (const auto& [entity, outcome] : body.entries) {
      const auto which = s_.reports.answered(entity);
      if (!which) continue;
      const auto d = s_.reporters.find(entity);
      self_->send(d->second, gw_report_outcome{*which, outcome});
      s_.reporters.erase(d);
    }
    end_report(seconds{0});
    flush_reports();
  }

  void flush_reports() {
    if (!s_.exporter || s_.report_request || follower_.leaving(now())) return;
    epoch_report m;
    m.entries = s_.reports.take(now(), reports_in_message_max);
    if (m.entries.empty()) return;
    s_.report_request = fresh_id();
    s_.report_sent = now();
    send(*s_.report_request, std::move(m));
  }
  void end_report(seconds retry_after) {
    s_.report_request.reset();
    s_.reports.unanswered(now(), retry_after);
  }

  server_link_actor::pointer self_;
  server_link_state s_;
  password_change passwords_;
  node_follower follower_;
  bool moving_ = false;  ///< from a server that drains to another one
  time_point look_at_ = time_never;
  seldom bad_answers_;
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
        [l](const link_look&) { l->look(true); },
        [l](const link_flush&) { l->flush(); },
        [l](const link_saved& m) { l->saved(m); },
        [l](const link_shut_down&) { l->shut_down(); },
        [l](const link_reload& m) { l->reload(m); },
        [l](const link_describe&) { return l->describe(); },
        [l](const link_new_password& m) { return l->set_password(m); },
    };
  });
}

}  // namespace cpns::actors
