#include "api/https_client.hpp"

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "api/wire.hpp"
#include "crypto/tls_hosts.hpp"

namespace cpns::api {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

/// A service may close an idle connection at any time; after this time the client does.
constexpr seconds idle_max{30};
constexpr std::uint32_t head_max = 8192;
/// The read buffer: the head, and what came with it.
constexpr std::size_t buffer_max = 16 * 1024;

using wiping_buffer = boost::beast::basic_flat_buffer<detail::wiping_allocator<char>>;

class line;

struct query {
  query(asio::io_context& io, std::string t, std::function<void(https_outcome)> d)
      : target(std::move(t)), done(std::move(d)), deadline(io) {}
  const std::string target;
  std::function<void(https_outcome)> done;  ///< empty: it was called
  asio::steady_timer deadline;
  std::shared_ptr<line> on;  ///< null: it waits
  bool repeated = false;     ///< its kept connection was closed: it needs a new one
};
using query_ptr = std::shared_ptr<query>;

std::optional<seconds> seconds_in(boost::beast::string_view text) {
  std::uint32_t n = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (text.empty() || ec != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return seconds{n};
}

std::string host_header(const https_settings& s) {
  const bool v6 = s.host.find(':') != std::string::npos;
  return (v6 ? "[" + s.host + "]" : s.host) + (s.port == 443 ? "" : ":" + std::to_string(s.port));
}

/// The queries and connections. All but `contexts` belongs to the thread.
struct core {
  core(https_settings s, crypto::tls_supply c, https_client::revocation r)
      : settings(std::move(s)), contexts(std::move(c)), revoked(std::move(r)), host(host_header(settings)) {}

  const https_settings settings;
  const crypto::tls_supply contexts;
  const https_client::revocation revoked;
  const std::string host;
  asio::io_context io{1};
  std::deque<query_ptr> waiting;
  std::vector<std::shared_ptr<line>> idle;
  std::vector<std::shared_ptr<line>> open;  ///< all, with the idle ones
  bool stopping = false;
  std::thread thread;

  void take(const query_ptr& q, std::chrono::steady_clock::time_point until);
  /// Gives waiting queries to connections.
  void serve();
  void late(const query_ptr& q);
  void stop();
};

void finish(const query_ptr& q, https_outcome how) {
  if (!q->done) return;
  q->deadline.cancel();
  q->on.reset();
  std::exchange(q->done, {})(std::move(how));
}

/// One connection. Each handler holds it; after end() they do nothing.
class line final : public std::enable_shared_from_this<line> {
 public:
  /// Nothing of the context but its files outlives this call.
  line(core& owner, asio::ssl::context& tls)
      : owner_(owner), names_(owner.io), stream_(owner.io, tls), idle_(owner.io) {}

  void run(const query_ptr& q) {
    query_ = q;
    q->on = shared_from_this();
    idle_.cancel();
    reused_ = connected_;
    if (!connected_) return resolve();
    if (owner_.revoked)
      if (const auto why = owner_.revoked(stream_.native_handle())) return fail(https_fault::closed, *why);
    ask();
  }
  /// Closes at once.
  void end() {
    if (std::exchange(over_, true)) return;
    const auto self = shared_from_this();
    query_.reset();
    std::erase(owner_.open, self);
    std::erase(owner_.idle, self);
    names_.cancel();
    idle_.cancel();
    error_code ignored;
    stream_.next_layer().close(ignored);
  }
  void collect(std::vector<query_ptr>& to) const {
    if (query_) to.push_back(query_);
  }
  /// What the query waits for, for the log.
  [[nodiscard]] const char* stage() const { return stage_; }

 private:
  template <class Then>
  auto guarded(Then then) {
    return [self = shared_from_this(), then = std::move(then)](const error_code& ec, const auto&... more) {
      if (!self->over_) then(ec, more...);
    };
  }

  void resolve() {
    stage_ = "while its host name is looked up";
    const auto& s = owner_.settings;
    if (const auto named = crypto::name_host(stream_.native_handle(), s.host); !named)
      return fail(https_fault::name, named.error().message());
    names_.async_resolve(s.host, std::to_string(s.port), tcp::resolver::numeric_service,
                         guarded([this](const error_code& ec, const tcp::resolver::results_type& found) {
                           if (ec)
                             return fail(https_fault::name,
                                         "the host name does not resolve (" + ec.message() + ")");
                           connect(found);
                         }));
  }
  void connect(const tcp::resolver::results_type& found) {
    stage_ = "while the connection is made";
    asio::async_connect(stream_.next_layer(), found, guarded([this](const error_code& ec, const auto&) {
                          if (ec)
                            return fail(https_fault::connect, "it cannot be reached (" + ec.message() + ")");
                          shake_hands();
                        }));
  }
  void shake_hands() {
    stage_ = "in the TLS handshake";
    error_code ignored;
    stream_.next_layer().set_option(tcp::no_delay{true}, ignored);
    stream_.async_handshake(asio::ssl::stream_base::client, guarded([this](const error_code& ec) {
                              if (ec) return fail(https_fault::tls, why(ec));
                              connected_ = true;
                              ask();
                            }));
  }
  void ask() {
    stage_ = "while it should answer";
    request_ = {http::verb::get, query_->target, 11};
    request_.set(http::field::host, owner_.host);
    request_.set(http::field::accept, "application/json");
    http::async_write(stream_, request_, guarded([this](const error_code& ec, std::size_t) {
                        // The reason of a service that closed is in what it sent before.
                        if (ec && ec.category() == asio::error::get_ssl_category()) return broken(ec);
                        read();
                      }));
  }
  void read() {
    parser_.emplace();
    parser_->header_limit(head_max);
    parser_->body_limit(owner_.settings.body_max);
    http::async_read(stream_, buffer_, *parser_, guarded([this](const error_code& ec, std::size_t) {
                       if (ec) return broken(ec);
                       answered();
                     }));
  }
  void answered() {
    const auto& m = parser_->get();
    constexpr unsigned switching = 101, final_from = 200;
    // An informational answer; the one that counts follows. The time limit goes on.
    if (m.result_int() < final_from && m.result_int() != switching) return read();
    https_answer out;
    out.status = m.result_int();
    out.type = std::string{detail::text_of(m[http::field::content_type])};
    out.retry_after = seconds_in(m[http::field::retry_after]);
    out.body = secret_bytes{byte_view{m.body().data(), m.body().size()}};
    const bool keep = parser_->keep_alive() && buffer_.size() == 0 && out.status >= final_from;
    parser_.reset();
    const auto q = std::exchange(query_, {});
    if (keep)
      rest();
    else
      end();
    finish(q, std::move(out));
    owner_.serve();
  }
  void rest() {
    buffer_ = wiping_buffer{buffer_max};
    owner_.idle.push_back(shared_from_this());
    idle_.expires_after(idle_max);
    idle_.async_wait(guarded([this](const error_code& ec) {
      if (!ec && !query_) end();
    }));
  }

  void broken(const error_code& ec) {
    if (ec == http::error::body_limit || ec == http::error::header_limit ||
        ec == http::error::buffer_overflow)
      return fail(https_fault::oversized,
                  "its answer is larger than " + std::to_string(owner_.settings.body_max) + " bytes");
    if (ec == http::error::end_of_stream || ec == http::error::partial_message || ec == asio::error::eof ||
        ec == asio::ssl::error::stream_truncated || ec.category() == boost::system::system_category())
      return fail(https_fault::closed, parser_ && parser_->got_some()
                                           ? "it closed the connection in the middle of its answer"
                                           : "it closed the connection without an answer");
    if (ec.category() == asio::error::get_ssl_category()) return fail(https_fault::tls, why(ec));
    fail(https_fault::malformed, "its answer is not HTTP (" + ec.message() + ")");
  }
  [[nodiscard]] std::string why(const error_code& ec) {
    if (ec.category() == asio::error::get_ssl_category())
      return crypto::tls_refusal(stream_.native_handle(), static_cast<unsigned long>(ec.value()));
    return "it closed the connection in the handshake (" + ec.message() + ")";
  }
  void fail(https_fault kind, std::string text) {
    const bool stale = kind == https_fault::closed && reused_ && !(parser_ && parser_->got_some());
    const auto q = std::exchange(query_, {});
    end();
    if (stale && !q->repeated && !owner_.stopping) {
      q->repeated = true;
      q->on.reset();
      owner_.waiting.push_front(q);
    } else {
      finish(q, tl::unexpected(https_failure{kind, std::move(text)}));
    }
    owner_.serve();
  }

  core& owner_;
  tcp::resolver names_;
  asio::ssl::stream<tcp::socket> stream_;
  asio::steady_timer idle_;
  http::request<http::empty_body> request_;
  wiping_buffer buffer_{buffer_max};
  std::optional<http::response_parser<detail::whole_body>> parser_;
  query_ptr query_;
  const char* stage_ = "";
  bool connected_ = false, reused_ = false, over_ = false;
};

void core::take(const query_ptr& q, std::chrono::steady_clock::time_point until) {
  if (stopping) return finish(q, tl::unexpected(https_failure{https_fault::stopping, "the server stops"}));
  if (waiting.size() >= settings.waiting)
    return finish(q, tl::unexpected(https_failure{https_fault::busy, "too many queries wait for it"}));
  q->deadline.expires_at(until);
  q->deadline.async_wait([this, q](const error_code& ec) {
    if (!ec) late(q);
  });
  waiting.push_back(q);
  serve();
}

void core::serve() {
  while (!waiting.empty() && !stopping) {
    const auto q = waiting.front();
    std::shared_ptr<line> with;
    if (!idle.empty() && !q->repeated) {
      with = idle.back();  // the others become idle for long enough to be closed
      idle.pop_back();
    } else {
      if (open.size() >= settings.connections && !idle.empty()) idle.front()->end();
      if (open.size() >= settings.connections) return;
      auto context = contexts();
      if (!context) {
        waiting.pop_front();
        finish(q, tl::unexpected(https_failure{https_fault::tls, context.error().message()}));
        continue;
      }
      asio::ssl::context tls{context->release()};
      with = std::make_shared<line>(*this, tls);
      open.push_back(with);
    }
    waiting.pop_front();
    with->run(q);
  }
}

void core::late(const query_ptr& q) {
  if (!q->done) return;
  std::string stage = "while it waits for a connection";
  if (const auto on = q->on) {
    stage = on->stage();
    on->end();
  } else {
    std::erase(waiting, q);
  }
  finish(q, tl::unexpected(https_failure{https_fault::timeout, "the time limit passed " + stage}));
  serve();
}

void core::stop() {
  stopping = true;
  std::vector<query_ptr> left(waiting.begin(), waiting.end());
  waiting.clear();
  for (const auto& l : std::vector{open}) {
    l->collect(left);
    l->end();
  }
  for (const auto& q : left)
    finish(q, tl::unexpected(https_failure{https_fault::stopping, "the server stops"}));
  io.stop();
}

}  // namespace

struct https_client::impl : core {
  using core::core;
};

https_client::https_client(https_settings s, crypto::tls_supply contexts, revocation revoked)
    : impl_(std::make_unique<impl>(std::move(s), std::move(contexts), std::move(revoked))) {
  impl_->thread = std::thread{[m = impl_.get()] {
    const auto stay = asio::make_work_guard(m->io);
    m->io.run();
  }};
}

https_client::~https_client() {
  asio::post(impl_->io, [m = impl_.get()] { m->stop(); });
  impl_->thread.join();
}

void https_client::get(std::string target, milliseconds limit, std::function<void(https_outcome)> done) {
  const auto until = std::chrono::steady_clock::now() + limit;
  auto q = std::make_shared<query>(impl_->io, std::move(target), std::move(done));
  asio::post(impl_->io, [m = impl_.get(), q = std::move(q), until] { m->take(q, until); });
}

}  // namespace cpns::api
