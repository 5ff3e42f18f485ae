#include "api/session.hpp"

#include <array>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <optional>
#include <type_traits>
#include <variant>

#include "api/body_problems.hpp"
#include "api/body_reader.hpp"
#include "api/dispatch.hpp"
#include "api/part_writer.hpp"
#include "api/wire.hpp"
#include "base/log.hpp"

namespace cpns::api::detail {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using clock = session_clock;

constexpr std::uint32_t header_max = 16 * 1024;
constexpr std::size_t buffer_max = 64 * 1024;
constexpr std::size_t event_batch = 64 * 1024;
/// Buffer of a client that has not begun its next request.
constexpr std::size_t first_read = 4096;
constexpr milliseconds farewell_max{2000};
constexpr milliseconds give_up_again{1000};

template <class Stream>
class session final : public session_base, public std::enable_shared_from_this<session<Stream>> {
 public:
  session(shared_state& shared, Stream s, origin from)
      : session_base(from.key), shared_(shared), stream_(std::move(s)),
        strand_(asio::make_strand(stream_.get_executor())), timer_(strand_), from_(std::move(from)) {
    ++shared_.connections;
  }
  ~session() override { --shared_.connections; }

  void start() override {
    asio::post(strand_, [self = this->shared_from_this()] { self->read_head(); });
  }
  void abandon() override {
    asio::post(strand_, [self = this->shared_from_this()] { self->close(); });
  }
  void judge() override {
    if constexpr (has_tls) asio::post(strand_, [self = this->shared_from_this()] { self->judge_client(); });
  }

 private:
  friend body_reader<session>;
  friend part_writer<session>;
  static constexpr bool has_tls = std::is_same_v<Stream, tls_stream>;
  using self_t = std::shared_ptr<session>;

  self_t self() { return this->shared_from_this(); }
  template <class F>
  auto on_strand(F f) {
    return asio::bind_executor(strand_, std::move(f));
  }
  const http_limits& limits() const { return shared_.parts.limits; }

  // Deadlines: one timer closes the connection.
  void expect_within(milliseconds time) {
    deadline_ = clock::now() + time;
    if (timer_.expiry() > clock::now() && timer_.expiry() <= deadline_) return;  // it re-arms itself
    arm();
  }
  void expect_nothing() { deadline_ = clock::time_point::max(); }
  /// The same while a handler waits for a part of the body: after `time` its read fails, and it can still be answered.
  void expect_part_within(clock::duration time) {
    awaits_part_ = true;
    expect_within(std::chrono::ceil<milliseconds>(time));
  }
  void arm() {
    timer_.expires_at(deadline_);
    timer_.async_wait(on_strand([weak = this->weak_from_this()](const error_code& ec) {
      const auto s = weak.lock();
      if (!s || ec || s->closed_ || s->deadline_ == clock::time_point::max()) return;
      if (clock::now() < s->deadline_) return s->arm();
      if (s->awaits_part_) return s->give_up_part();
      // The end of a TLS connection without close_notify looks like an attack to the client.
      if (has_tls && !s->leaving_ && s->idle_since != 0 && s->buffer_.size() == 0) return s->close_gently();
      s->close();
    }));
  }
  void give_up_part() {
    part_is_late_ = true;
    error_code ignored;
    socket_of(stream_).cancel(ignored);
    // A TLS stream that had the bytes of a part of a record reads on: it is cancelled again.
    expect_within(give_up_again);
  }

  void close() {
    if (std::exchange(closed_, true)) return;
    timer_.cancel();
    listening_.reset();
    error_code ignored;
    socket_of(stream_).shutdown(asio::socket_base::shutdown_both, ignored);
    socket_of(stream_).close(ignored);
  }

  void read_head() {
    if (closed_) return;
    asked_ = {};
    head_only_ = false;
    head_ = std::make_shared<head_parser>();
    head_->header_limit(header_max);
    head_->body_limit(boost::none);
    expect_within(limits().idle_time);
    idle_since = clock::now().time_since_epoch().count();
    // The deadline of a request runs from its first byte, so that a client may stay idle longer.
    if (buffer_.size() != 0) return read_rest_of_head();
    stream_.async_read_some(buffer_.prepare(first_read),
                            on_strand([s = self()](const error_code& ec, std::size_t n) {
                              if (s->leaving_) return;  // a request now could not be answered any more
                              if (ec || s->closed_) return s->close();
                              s->buffer_.commit(n);
                              s->read_rest_of_head();
                            }));
  }
  void read_rest_of_head() {
    expect_within(limits().request_time);
    http::async_read_header(stream_, buffer_, *head_,
                            on_strand([s = self()](const error_code& ec, std::size_t) { s->on_head(ec); }));
  }

  void on_head(const error_code& ec) {
    if (closed_) return;
    asked_.id = id_of({});  // until the client's is known
    if (ec == http::error::header_limit || ec == http::error::buffer_overflow)
      return give_up(problem{431, "headers-too-large", "the request line and headers are limited to 16 KiB"});
    if (ec == http::error::end_of_stream || ec == asio::error::eof || ec == asio::error::connection_reset ||
        ec == http::error::partial_message || ec == asio::ssl::error::stream_truncated)
      return close();
    if (ec) return give_up(problem{400, "bad-request", "not an HTTP/1.1 request: " + ec.message()});
    ++shared_.requests;
    idle_since = 0;
    const auto& m = head_->get();
    keep_alive_ = m.keep_alive();
    chunked_ = m.version() >= http_1_1;
    const auto view = view_of(m);
    head_only_ = view.verb == "HEAD";
    asked_.id = id_of(view);
    if (auto why = doubtful(m, m.version())) return refuse_early(std::move(*why));
    auto ready = prepare(shared_, from_, asked_.id, view);
    if (!ready) return refuse_early(std::move(ready).error());
    to_ = ready->to;
    asked_ = std::move(ready->asked);
    const auto length = head_->content_length();
    if ((length && *length > to_->body_max) || (to_->body_max == 0 && head_->chunked()))
      return refuse_early(body_too_large(*to_));
    if (to_->at_once != 0 && !(slot_ = shared_.slot_for(*to_))) return refuse_early(too_many_at_once(*to_));
    if (http::token_list{m[http::field::expect]}.exists("100-continue")) return send_continue();
    read_body();
  }

  /// The audit line of a refused change is written by a worker, then the answer follows.
  void refuse_early(problem why) {
    keep_alive_ = false;
    expect_within(limits().write_time);
    asio::post(shared_.workers, [s = self(), why = std::move(why)]() mutable {
      record_refusal(s->shared_, s->from_.who, s->asked_.id, view_of(s->head_->get()), why);
      asio::post(s->strand_,
                 [s, why = std::move(why)]() mutable { s->answer(tl::unexpected<problem>(std::move(why))); });
    });
  }
  /// The body of a change does not come as a whole: the client may still read why.
  void refuse_body(const error_code& ec) {
    keep_alive_ = false;
    whole_.reset();
    expect_within(limits().write_time);
    auto why = ec == http::error::body_limit ? body_too_large(*to_) : broken_body(ec);
    asio::post(shared_.workers, [s = self(), why = std::move(why)]() mutable {
      record_refusal(s->shared_, *s->to_, s->asked_, why);
      asio::post(s->strand_,
                 [s, why = std::move(why)]() mutable { s->answer(tl::unexpected<problem>(std::move(why))); });
    });
  }
  void give_up(problem why) {
    keep_alive_ = false;
    answer(tl::unexpected<problem>(std::move(why)));
  }

  void send_continue() {
    static constexpr std::string_view line = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(stream_, asio::buffer(line.data(), line.size()),
                      on_strand([s = self()](const error_code& ec, std::size_t) {
                        if (ec || s->closed_) return s->close();
                        s->read_body();
                      }));
  }

  void read_body() {
    if (to_->handle_stream) {
      parts_.emplace(std::move(*head_));
      parts_->body_limit(to_->body_max);
      return run_handler(std::make_shared<body_reader<session>>(self()));
    }
    whole_.emplace(std::move(*head_));
    whole_->body_limit(to_->body_max);
    http::async_read(stream_, buffer_, *whole_, on_strand([s = self()](const error_code& ec, std::size_t) {
                       if (s->closed_) return;
                       if (ec) return s->refuse_body(ec);
                       auto& body = s->whole_->get().body();
                       s->asked_.body = secret_bytes{byte_view{body.data(), body.size()}};
                       s->whole_.reset();
                       s->run_handler(nullptr);
                     }));
  }

  void run_handler(std::shared_ptr<body_source> body) {
    expect_nothing();
    asio::post(to_->probe ? shared_.probe_workers : shared_.workers, [s = self(), body = std::move(body)] {
      auto out = run(s->shared_, *s->to_, s->asked_, body.get());
      asio::post(s->strand_, [s, out = std::move(out)]() mutable { s->answer(std::move(out)); });
    });
  }

  void answer(outcome out) {
    slot_.reset();
    if (closed_) return;
    if (parts_) {
      keep_alive_ = keep_alive_ && parts_->is_done();
      parts_.reset();
    }
    asked_.body.clear();
    const bool events = out && out->events != nullptr;
    if (events && !head_only_) return stream_events(*out);
    const bool parts = out && out->parts != nullptr;
    if (parts && !head_only_) return std::make_shared<part_writer<session>>(self())->begin(*out);
    const auto m = new_answer(out && out->secret);
    m->version(11);
    if (out) {
      m->result(out->status);
      if (events) out->type = "text/event-stream";
      if (!out->type.empty()) m->set(http::field::content_type, out->type);
      for (const auto& [name, value] : out->headers) m->set(name, value);
      m->body() = std::move(out->body);
    } else {
      ++shared_.problems;
      const auto& p = out.error();
      m->result(p.status);
      m->set(http::field::content_type, std::string{problem_type});
      if (p.retry_after) m->set(http::field::retry_after, std::to_string(*p.retry_after));
      if (!p.allow.empty()) m->set(http::field::allow, p.allow);
      m->body() = document_of(p, asked_.id);
    }
    shared_.count_answer(m->result_int());
    m->set(http::field::cache_control, "no-store");
    m->set("X-Content-Type-Options", "nosniff");
    if (!asked_.id.empty()) m->set("Cpns-Request-Id", asked_.id);
    keep_alive_ = keep_alive_ && !is_old();
    m->keep_alive(keep_alive_);
    if (m->result_int() != 204 && !events && !parts) m->prepare_payload();
    if (head_only_) return send(std::make_shared<http::response<http::empty_body>>(std::move(m->base())));
    send(m);
  }
  template <class Message>
  void send(std::shared_ptr<Message> m) {
    expect_within(limits().write_time);
    auto& message = *m;
    http::async_write(stream_, message, on_strand([s = self(), m](const error_code& ec, std::size_t) {
                        if (ec || s->closed_ || !s->keep_alive_) return s->close_gently();
                        s->read_head();
                      }));
  }

  /// The client may still send a body that was refused: a close now would reset the connection before it has read the
  /// answer. So its bytes are discarded until it closes, for a bounded time. Over TLS a close_notify is sent first.
  void close_gently() {
    if (closed_ || std::exchange(leaving_, true)) return;
    idle_since = leaves_first;
    expect_within(farewell_max);
    if constexpr (has_tls)
      stream_.async_shutdown(on_strand([s = self()](const error_code&) { s->send_no_more(); }));
    else
      send_no_more();
  }
  void send_no_more() {
    if (closed_) return;
    error_code ignored;
    socket_of(stream_).shutdown(asio::socket_base::shutdown_send, ignored);
    discard();
  }
  void discard() {
    socket_of(stream_).async_read_some(asio::buffer(discarded_),
                                       on_strand([s = self()](const error_code& ec, std::size_t) {
                                         if (ec || s->closed_) return s->close();
                                         s->discard();
                                       }));
  }

  // A client with a certificate.
  bool is_old() const { return has_tls && clock::now() >= born_ + limits().certificate_time; }
  void judge_client() {
    if constexpr (has_tls) {
      if (closed_ || leaving_) return;
      auto why = shared_.tls->revoked(stream_.native_handle());
      if (!why && shared_.rules()->level_of(from_.who.uri) < from_.who.level)
        why = "the level of " + from_.who.uri + " is lower now";
      if (why) {
        log::warn(shared_.parts.component, "api-client-ended", *why + "; its connection was closed",
                  {{"peer", from_.who.address}, {"certificate", from_.who.uri}});
        return close();
      }
      const bool waits = idle_since != 0 && buffer_.size() == 0;
      if (is_old() && (waits || (reading_events_ && !writing_))) close_gently();
    }
  }

  // Server-sent events.
  void stream_events(const response& first) {
    auto held = shared_.place_for_reader(key);
    if (!held) return give_up(std::move(held).error());
    reading_events_ = true;
    reader_place_ = std::move(*held);
    shared_.count_answer(200);
    hub_ = first.events;
    place_ = first.after;
    listening_ = hub_->listen([weak = this->weak_from_this()] {
      const auto s = weak.lock();
      if (!s || s->wake_posted_.exchange(true)) return;
      asio::post(s->strand_, [s] {
        s->wake_posted_ = false;
        s->pump();
      });
    });
    outgoing_ = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
                "X-Content-Type-Options: nosniff\r\nConnection: close\r\nCpns-Request-Id: " +
                asked_.id + "\r\n\r\n" + first.body;
    heartbeat_.emplace(strand_);
    watch_reader();
    write_events(false);
  }
  /// A reader sends nothing more: bytes or the end close its connection.
  void watch_reader() {
    stream_.async_read_some(asio::buffer(discarded_),
                            on_strand([s = self()](const error_code&, std::size_t) { s->close(); }));
  }
  void pump() {
    if (closed_ || leaving_ || writing_) return;
    auto next = hub_->after(place_, event_batch);
    if (next.cut_off) {
      ++shared_.cut_off;
      outgoing_ = event_text(
          "", "cut-off",
          R"({"text":"this reader is too slow: events were lost; connect again for a new snapshot"})");
      return write_events(true);
    }
    if (next.text.empty()) return beat_later();
    outgoing_ = std::move(next.text);
    place_ = next.last;
    write_events(false);
  }
  void write_events(bool last) {
    writing_ = true;
    expect_within(limits().write_time);
    asio::async_write(stream_, asio::buffer(outgoing_),
                      on_strand([s = self(), last](const error_code& ec, std::size_t) {
                        s->writing_ = false;
                        if (ec || s->closed_) return s->close();
                        if (last) return s->close_gently();
                        s->expect_nothing();
                        s->pump();
                      }));
  }
  void beat_later() {
    heartbeat_->expires_after(limits().heartbeat);
    heartbeat_->async_wait(on_strand([weak = this->weak_from_this()](const error_code& ec) {
      const auto s = weak.lock();
      if (!s || ec || s->closed_ || s->leaving_ || s->writing_) return;
      s->outgoing_ = ": \n\n";
      s->write_events(false);
    }));
  }

  shared_state& shared_;
  Stream stream_;
  asio::strand<asio::any_io_executor> strand_;
  asio::steady_timer timer_;
  clock::time_point deadline_ = clock::time_point::max();
  const origin from_;
  boost::beast::basic_flat_buffer<wiping_allocator<char>> buffer_{buffer_max};
  std::shared_ptr<head_parser> head_;
  std::optional<whole_parser> whole_;
  std::optional<part_parser> parts_;
  const route* to_ = nullptr;
  place slot_;  ///< of a request whose route has `at_once`
  request asked_;
  bool keep_alive_ = false, chunked_ = true, head_only_ = false, closed_ = false, leaving_ = false;
  bool awaits_part_ = false, part_is_late_ = false;
  const clock::time_point born_ = clock::now();
  std::array<char, 4096> discarded_{};

  bool reading_events_ = false, writing_ = false;
  place reader_place_;
  std::atomic<bool> wake_posted_ = false;
  event_hub* hub_ = nullptr;
  std::uint64_t place_ = 0;
  event_hub::ticket listening_;
  std::optional<asio::steady_timer> heartbeat_;
  std::string outgoing_;
};

}  // namespace

std::shared_ptr<session_base> make_session(shared_state& shared, unix_stream s, origin from) {
  return std::make_shared<session<unix_stream>>(shared, std::move(s), std::move(from));
}
std::shared_ptr<session_base> make_session(shared_state& shared, tcp_stream s, origin from) {
  return std::make_shared<session<tcp_stream>>(shared, std::move(s), std::move(from));
}
std::shared_ptr<session_base> make_session(shared_state& shared, tls_stream s, origin from) {
  return std::make_shared<session<tls_stream>>(shared, std::move(s), std::move(from));
}

}  // namespace cpns::api::detail
