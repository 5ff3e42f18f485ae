#include "actors/pn_gw/password_change.hpp"

#include <algorithm>
#include <utility>

#include "actors/pn_gw/actors.hpp"
#include "base/log.hpp"
#include "crypto/suite.hpp"

namespace cpns::actors {
namespace {

using namespace protocol;

/// A random UUID (RFC 9562, version 4), so that no server has a device of this name.
entity_id invented_entity() {
  auto raw = crypto::system_entropy().draw<16>();
  raw[6] = static_cast<std::uint8_t>((raw[6] & 0x0f) | 0x40);
  raw[8] = static_cast<std::uint8_t>((raw[8] & 0x3f) | 0x80);
  auto text = to_hex(raw);
  for (const std::size_t at : {20U, 16U, 12U, 8U}) text.insert(at, 1, '-');
  return entity_id::parse("urn:uuid:" + text).value();
}

/// Whether this status is the answer to a request whose proof is right: all these checks come after that of the proof
/// (docs/protocol.md, Order of checks).
bool follows_a_right_proof(link_status s) {
  switch (s) {
  case link_status::unknown_entity:
  case link_status::presence_failed:
  case link_status::stale_nonce:
  case link_status::stale_epoch:
  case link_status::owned_by_other:
  case link_status::held_by_other:
  case link_status::revoked:
  case link_status::temporary_key_unavailable:
  case link_status::bad_request: return true;
  case link_status::ok:
  case link_status::unknown_user_or_bad_proof:
  case link_status::gateway_blocked:
  case link_status::throttled:
  case link_status::overloaded:
  case link_status::internal: break;
  }
  return false;
}

/// What a gateway has after a new password was not accepted.
std::string_view afterwards(const password_change::link_state& s) {
  return s.in_use ? "the former one stays in use" : "the gateway is not enrolled";
}

}  // namespace

void password_change::reload(std::filesystem::path file) {
  file_ = std::move(file);
  tried_ = 0;
  next_look_ = not_before_ = time_zero;
}

void password_change::set(const link_state& s, secret_bytes password, done_fn done) {
  const auto refuse = [&done](errc code, const std::string& why) { done(fail(code, why)); };
  if (password.size() == 0 || password.size() > user_password_max)
    return refuse(errc::config_range, "a password has 1 to " + std::to_string(user_password_max) + " bytes");
  if (pending() || waits_for_disk_)
    return refuse(errc::state_conflict, "another change of the password is pending; wait for its end");
  if (!s.connected)
    return refuse(errc::peer_closed,
                  "the server is not connected, so it cannot verify the password; nothing was "
                  "changed");
  if (s.now < operators_not_before_)
    return refuse(errc::state_overloaded,
                  "too many wrong passwords; wait " +
                      std::to_string(std::chrono::ceil<seconds>(operators_not_before_ - s.now).count()) +
                      " s");
  // The file as it is now holds another password, which must not replace this one.
  begin(s, std::move(password), password_time(file_), std::move(done));
}

void password_change::timer(const link_state& s) {
  if (pending() && s.now - asked_ > answers_within)
    return undecided(s, {errc::peer_timeout, "the server does not answer"});
  if (pending() || !s.connected || !s.in_use || s.refused || s.now < next_look_) return;
  next_look_ = s.now + looks_every;
  const auto written = password_time(file_);
  if (written == 0 || written == s.in_use->password_time || (written == tried_ && s.now < not_before_))
    return;
  tried_ = written;
  not_before_ = s.now + looks_every;
  auto password = read_user_password(file_);
  if (!password) {
    if (const auto why = password.error().message(); trouble_.due(s.now, why))
      log::error(gateway_component, "password-unreadable", why + "; the former password stays in use");
    return;
  }
  begin(s, std::move(*password), written, {});
}

void password_change::begin(const link_state& s, secret_bytes password, std::int64_t written, done_fn done) {
  password_ = std::move(password);
  written_ = written;
  done_ = std::move(done);
  asked_ = s.now;
  challenge_ = on_.send(user_challenge{user_});
}

bool password_change::take(const link_state& s, const link_answer& a) {
  if (challenge_ != a.id && proof_ != a.id) return false;
  if (const auto* no = std::get_if<refusal>(&a.body))
    judged(s, *no);
  else if (const auto* challenge = std::get_if<user_challenge_answer>(&a.body);
           challenge != nullptr && challenge_)
    challenged(s, *challenge);
  else
    undecided(s, {errc::peer_bad_state, "the server answers another request"});
  return true;
}

void password_change::challenged(const link_state& s, const user_challenge_answer& challenge) {
  challenge_.reset();
  const auto password = std::exchange(password_, {});
  auto made = derive_credentials(user_, challenge, password, written_);
  if (!made) return undecided(s, made.error());
  if (s.in_use && !s.refused && s.in_use->salt == made->salt && s.in_use->iterations == made->iterations &&
      s.in_use->client_key == made->client_key) {
    const auto done = end();
    if (s.in_use->password_time != made->password_time) {
      storing_ = storing_t::new_time;  // so that the file is not tried again at the next start
      on_.adopt(std::move(*made));
    }
    if (done) done(password_outcome{true});
    return;
  }
  send_proof(s, std::move(*made));
}

void password_change::enrol(const link_state& s, user_credentials made, enrolled_fn done) {
  enrols_ = std::move(done);
  send_proof(s, std::move(made));
}

void password_change::send_proof(const link_state& s, user_credentials made) {
  key_assignment_request request;
  request.user = user_;
  request.entity = invented_entity();
  request.reason = assignment_reason::refill;
  request.proof = on_.prove(request, made);
  made_ = std::move(made);
  asked_ = s.now;
  proof_ = on_.send(std::move(request));
}

void password_change::judged(const link_state& s, const refusal& answer) {
  if (proof_ && answer.status == link_status::unknown_user_or_bad_proof) return wrong(s, answer.reason);
  if (proof_ && follows_a_right_proof(answer.status)) return right(s, std::move(*made_));
  undecided(s,
            {errc::state_overloaded,
             "the server answers " + std::string{name_of(answer.status)} + ": " + answer.reason},
            seconds{answer.retry_after});
}

void password_change::right(const link_state& s, user_credentials made) {
  if (const auto enrolled = std::exchange(enrols_, {})) {
    (void)end();
    return enrolled(std::move(made), seconds{0});
  }
  if (!done_ && record_.begin) {
    auto finish = record_.begin();
    if (!finish) return undecided(s, finish.error());
    done_ = [finish = std::move(*finish)](const result<password_outcome>& outcome) {
      finish(outcome ? status{} : status{tl::unexpect, outcome.error()});
    };
  }
  waits_for_disk_ = end();
  storing_ = storing_t::new_password;
  wrong_ = 0;
  (void)trouble_.over();
  on_.adopt(std::move(made));
}

void password_change::wrong(const link_state& s, const std::string& reason) {
  const auto enrolled = std::exchange(enrols_, {});
  const auto done = end();
  if (enrolled) return enrolled(fail(errc::peer_bad_tag, reason), seconds{0});
  const std::string still{afterwards(s)};
  log::error(gateway_component, "password-refused",
             "the server rejects the new password; " + still +
                 ": check `user`, and write the right password to user_password_file, or set it again",
             {{"user", user_.text()}, {"answer", reason}, {"from", done ? "operator" : file_.string()}});
  if (!done) {
    not_before_ = time_never;  // until the file changes
    if (record_.refused) record_.refused("the server rejects the password: " + reason);
    return;
  }
  if (++wrong_ >= free_wrong) operators_not_before_ = s.now + pause;
  done(fail(errc::peer_bad_tag, "the server rejects this password; " + still));
}

void password_change::undecided(const link_state& s, const error& why, seconds retry_after) {
  const auto enrolled = std::exchange(enrols_, {});
  const auto done = end();
  if (enrolled) return enrolled(fail(why), retry_after);
  const std::string still{afterwards(s)};
  if (done)
    return done(fail(why.code, why.detail + ", so the password is not verified; " + still +
                                   (retry_after.count() > 0
                                        ? "; try again in " + std::to_string(retry_after.count()) + " s"
                                        : std::string{})));
  not_before_ = next_look_ = s.now + std::max(pause, retry_after);
  if (trouble_.due(s.now, why.detail))
    log::warn(gateway_component, "password-not-verified",
              why.detail + ", so the new password is not verified; " + still + ", next attempt in " +
                  std::to_string(std::max(pause, retry_after).count()) + " s");
}

void password_change::interrupted(const link_state& s) {
  if (pending()) undecided(s, {errc::peer_closed, "the connection to the server ended"});
}

bool password_change::saved(const status& outcome) {
  if (storing_ == storing_t::nothing) return false;
  const bool changed = storing_ == storing_t::new_password;
  const auto done = std::exchange(waits_for_disk_, {});
  if (outcome) storing_ = storing_t::nothing;
  if (outcome && changed)
    log::info(
        gateway_component, "password-changed",
        "the server accepts the new password, and its ClientKey is stored; the password file is not needed "
        "any more");
  if (!done) return true;
  if (outcome)
    done(password_outcome{});
  else
    done(fail(outcome.error().code,
              outcome.error().detail + "; the new password is in use, and storing it is retried every 30 s"));
  return true;
}

password_change::done_fn password_change::end() {
  challenge_.reset();
  proof_.reset();
  password_.clear();
  made_.reset();
  return std::exchange(done_, {});
}

}  // namespace cpns::actors
