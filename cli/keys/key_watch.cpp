#include "cli/keys/key_watch.hpp"

#include <algorithm>
#include <utility>

#include "api/client.hpp"
#include "api/routes.hpp"
#include "base/secret.hpp"
#include "cli/keys/key_socket.hpp"

namespace cpns::cli::keys {
namespace {

using clock = std::chrono::steady_clock;

constexpr seconds longest_silence{40};  // over two heartbeats
constexpr std::size_t longest_line = std::size_t{1} << 20;
constexpr std::size_t longest_refusal = std::size_t{64} << 10;

/// A string that grew by itself would leave its former memory as it was.
void append_wiping(std::string& to, std::string_view more) {
  if (to.capacity() - to.size() < more.size()) {
    std::string larger;
    larger.reserve(2 * (to.size() + more.size()));
    larger = to;
    std::swap(to, larger);
    wipe(larger);
  }
  to.append(more);
}

bool is_good(unsigned status) { return status >= 200 && status < 300; }
/// Another attempt can end otherwise although nobody changes a setting.
bool may_pass(unsigned status) { return status >= 500 || status == 429; }

}  // namespace

key_watch::key_watch(watch_settings s, speaker say)
    : settings_(std::move(s)), say_(std::move(say)), table_(settings_.only) {}
key_watch::~key_watch() { wipe(pending_); }

void key_watch::add_to(std::vector<pollfd>& polled) const {
  if (answer_) polled.push_back({answer_->fd(), POLLIN, 0});
  if (ack_) polled.push_back({ack_->fd(), POLLIN, 0});
}

key_watch::instant key_watch::due() const {
  auto first = answer_ ? silent_at_ : next_attempt_;
  if (ack_ || ack_wanted_ > acked_) first = std::min(first, ack_at_);
  return first;
}

void key_watch::say_once(const std::string& sentence) {
  if (said_ == sentence) return;
  said_ = sentence;
  say_(sentence);
}

done_or<void> key_watch::turn(const reader& take) {
  const auto now = clock::now();
  if (!answer_ && now >= next_attempt_)
    if (const auto done = connect(); !done) {
      if (!settings_.patient || (!ever_answered_ && done.error().code != errc::peer_closed))
        return fail(command_failed{done.error()});
      CPNS_CHECK(lost(done.error()));
    }
  if (answer_) CPNS_CHECK(read(take));
  turn_acks(now);
  return {};
}

status key_watch::connect() {
  asked_acks_ = settings_.acks && !no_acks_here_;
  const auto target = "/v1/keys/" + api::encode_percent(settings_.purpose) + "?watch=true" +
                      (asked_acks_ ? "&acks=true" : "") +
                      (known_.run.empty() ? ""
                                          : "&since=" + api::encode_percent(known_.run) + "." +
                                                std::to_string(known_.revision));
  CPNS_TRY(auto asked, api::open_answer::ask(settings_.socket, access_hint, api::verb::get, target));
  answer_.emplace(std::move(asked));
  silent_at_ = clock::now() + longest_silence;
  asked_since_ = !known_.run.empty();
  resumed_ = false;
  ++connection_;
  revision_ = ack_wanted_ = ack_sent_ = acked_ = 0;
  first_line_ = true;
  watch_id_.clear();
  wipe(pending_);
  table_.begin_again();
  return {};
}

done_or<void> key_watch::read(const reader& take) {
  status taken;
  const auto done = answer_->read([&](std::string_view piece) {
    silent_at_ = clock::now() + longest_silence;
    if (taken) taken = take_piece(piece, take);
  });
  if (!taken) {
    known_ = {};  // the change that it did not take must come again
    return lost(taken.error());
  }
  const bool answered = answer_->http_status() != 0;
  if (answered && is_good(answer_->http_status())) ever_answered_ = true;
  if (answer_->complete()) {
    if (!is_good(answer_->http_status())) return refused();
    return lost({errc::peer_closed, "the role at " + settings_.socket + " ended the watch"});
  }
  if (!done) return lost(done.error());
  if (clock::now() < silent_at_) return {};
  return lost({errc::peer_timeout, "the role at " + settings_.socket + " is silent"});
}

status key_watch::take_piece(std::string_view piece, const reader& take) {
  if (!is_good(answer_->http_status())) {
    if (pending_.size() + piece.size() <= longest_refusal) append_wiping(pending_, piece);
    return {};
  }
  for (auto end = piece.find('\n'); end != std::string_view::npos; end = piece.find('\n')) {
    if (pending_.empty()) {
      CPNS_CHECK(take_line(piece.substr(0, end), take));
    } else {
      append_wiping(pending_, piece.substr(0, end));
      const auto done = take_line(pending_, take);
      wipe(pending_);
      CPNS_CHECK(done);
    }
    piece.remove_prefix(end + 1);
  }
  if (pending_.size() + piece.size() > longest_line)
    return fail(errc::wire_oversized, "a line of the role has more than 1 MiB");
  append_wiping(pending_, piece);
  return {};
}

status key_watch::take_line(std::string_view text, const reader& take) {
  CPNS_TRY(auto line, read_key_line(text));
  if (std::exchange(first_line_, false) && asked_acks_) {
    if (line.event == key_line::what::begun)
      watch_id_ = line.watch;
    else if (!std::exchange(said_no_acks_, true))
      say_("this role takes no acknowledgements: it does not wait until a key is in force here");
  }
  const auto event = line.event;
  const auto revision = line.revision;
  follow_place(line);
  const auto shown = take ? std::optional<key_line>{line} : std::nullopt;
  const auto changes = table_.apply(std::move(line));
  if (event == key_line::what::synced) {
    pause_.reset();
    no_acks_here_ = false;
    if (!std::exchange(said_, {}).empty()) say_("the role answers again");
  }
  if (table_.synced()) revision_ = std::max(revision_, revision);
  if (shown) take(*shown, text, changes);
  return {};
}

/// Before the table takes the line.
void key_watch::follow_place(const key_line& line) {
  using enum key_line::what;
  if (line.event == begun || line.event == other) return;
  if (line.event == resumed) {
    resumed_ = asked_since_ && !table_.synced();
  } else if (line.event == synced) {
    known_ = {line.run, line.revision};
    resumed_ = false;
  } else if (line.event == resync || !(table_.synced() || resumed_)) {
    known_ = {};  // a list, which may be cut
    resumed_ = false;
  } else {
    known_.revision = line.revision;
  }
}

/// The answer is a problem.
done_or<void> key_watch::refused() {
  const auto code = answer_->http_status();
  const auto why = api::problem_of({code, answer_->type(), pending_});
  answer_.reset();
  wipe(pending_);
  known_ = {};
  if (asked_since_ && code == 400) {  // of another version: the list of all devices
    next_attempt_ = clock::now();
    return {};
  }
  if (asked_acks_ && code == 400) {  // of an earlier version, which does not know the parameter
    no_acks_here_ = true;
    if (!std::exchange(said_no_acks_, true))
      say_("this role takes no acknowledgements: it does not wait until a key is in force here");
    next_attempt_ = clock::now();
    return {};
  }
  if (!settings_.patient || (!ever_answered_ && !may_pass(code))) return fail(command_failed{why});
  return lost({errc::peer_closed, why.detail});
}

done_or<void> key_watch::lost(const error& why) {
  answer_.reset();
  ack_.reset();
  wipe(pending_);
  watch_id_.clear();
  revision_ = ack_wanted_ = acked_ = 0;
  table_.begin_again();
  if (!settings_.patient) return fail(command_failed{why});
  next_attempt_ = pause_.next(clock::now());
  say_once((says_all(why) ? why.detail : why.message()) + "; trying again");
  return {};
}

void key_watch::in_force(const point& p) {
  if (p.connection != connection_ || watch_id_.empty() || p.revision <= ack_wanted_) return;
  ack_wanted_ = p.revision;
  if (!ack_) ack_at_ = clock::now();
}

void key_watch::turn_acks(instant now) {
  if (ack_) {
    const auto done = ack_->read({[](std::string_view) {}});
    if (ack_->complete())
      end_ack(may_pass(ack_->http_status()));
    else if (!done || now >= ack_at_)
      end_ack(true);
  }
  if (!ack_ && ack_wanted_ > acked_ && now >= ack_at_) send_ack();
}

void key_watch::send_ack() {
  ack_sent_ = ack_wanted_;
  auto asked = api::open_answer::ask(settings_.socket, access_hint, api::verb::post,
                                     "/v1/keys/" + api::encode_percent(settings_.purpose) + "/acks",
                                     R"({"watch":")" + watch_id_ + R"(","revision":)" +
                                         std::to_string(ack_sent_) + "}");
  if (!asked) return end_ack(true);
  ack_.emplace(std::move(*asked));
  ack_at_ = clock::now() + growing_pause::longest;
}

/// `again`: nothing is known of it. A refusal is final until the next connection.
void key_watch::end_ack(bool again) {
  if (!again && ack_ && !is_good(ack_->http_status())) {
    say_("the role refuses acknowledgements with status " + std::to_string(ack_->http_status()));
    watch_id_.clear();
  }
  ack_.reset();
  const auto now = clock::now();
  if (again) {
    ack_at_ = ack_pause_.next(now);
  } else {
    acked_ = ack_sent_;
    ack_at_ = now;
    ack_pause_.reset();
  }
}

}  // namespace cpns::cli::keys
