#include "crypto/tls_channel.hpp"

#include <openssl/err.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <new>

#include "crypto/openssl_handles.hpp"

namespace cpns::crypto {
namespace {

constexpr std::size_t record_head = 5;
constexpr std::size_t record_body_max = 16'384 + 256;  // RFC 8446 section 5.2
constexpr std::size_t record_max = record_head + record_body_max;
constexpr std::size_t receive_max = record_max;
/// What came with the last message of a handshake is kept until the first receive(), which the caller may delay.
constexpr std::size_t handshake_receive_max = 4096;
/// Encrypted before the socket is asked again.
constexpr std::size_t send_max = 65'536;
/// Messages of TLS itself, such as answers to a key update, that a peer may leave unread.
constexpr std::size_t unsent_max = 4 * send_max;

/// Of a thread: they hold nothing between two calls.
struct shared_buffers {
  std::unique_ptr<std::uint8_t[]> in{new std::uint8_t[record_max + receive_max]};
  bytes out;
};
shared_buffers& buffers() {
  thread_local shared_buffers mine;
  return mine;
}

/// How many bytes at the front are whole records. All of them if one cannot be a record of TLS: OpenSSL says why.
std::size_t whole_records(byte_view in) {
  constexpr std::uint8_t first_type = 20, last_type = 24, major_version = 3;
  std::size_t at = 0;
  while (in.size() - at >= record_head) {
    const auto head = in.subspan(at, record_head);
    const std::size_t body = std::size_t{head[3]} << 8 | head[4];
    if (head[0] < first_type || head[0] > last_type || head[1] != major_version || body > record_body_max)
      return in.size();
    if (in.size() - at < record_head + body) break;
    at += record_head + body;
  }
  return at;
}

bool would_wait(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

}  // namespace

/// Lends the buffer of the thread to unsent_ for one call.
class tls_channel::output {
 public:
  explicit output(tls_channel& of) : of_(of), lent_(of.unsent_.capacity() == 0) {
    if (lent_) of_.unsent_.swap(buffers().out);
  }
  output(const output&) = delete;
  output& operator=(const output&) = delete;
  ~output() {
    auto& all = of_.unsent_;
    if (!lent_) {
      if (all.empty()) bytes{}.swap(all);
      return;
    }
    bytes rest{all};
    all.clear();
    all.swap(buffers().out);
    all.swap(rest);
  }

 private:
  tls_channel& of_;
  const bool lent_;
};

void tls_channel::ssl_free::operator()(ssl_st* s) const noexcept { SSL_free(s); }

tls_channel::tls_channel(tls_context context, int socket) : context_(std::move(context)), socket_(socket) {}
tls_channel::~tls_channel() = default;

int tls_channel::read_input(bio_st* bio, char* to, int size) {
  auto& in = static_cast<tls_channel*>(BIO_get_data(bio))->input_;
  BIO_clear_retry_flags(bio);
  if (in.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const auto n = std::min(in.size(), static_cast<std::size_t>(std::max(0, size)));
  std::copy_n(in.data(), n, reinterpret_cast<std::uint8_t*>(to));
  in = in.subspan(n);
  return static_cast<int>(n);
}

int tls_channel::write_output(bio_st* bio, const char* from, int size) try {
  auto& out = static_cast<tls_channel*>(BIO_get_data(bio))->unsent_;
  out.insert(out.end(), from, from + size);
  return size;
} catch (const std::bad_alloc&) {
  return -1;
}

const bio_method_st* tls_channel::method() {
  static const BIO_METHOD* const made = [] {
    BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "cpns socket");
    if (m == nullptr || BIO_meth_set_read(m, read_input) != 1 || BIO_meth_set_write(m, write_output) != 1 ||
        BIO_meth_set_ctrl(m, control) != 1)
      detail::out_of_crypto("a BIO");
    return m;
  }();
  return made;
}

bool tls_channel::open() {
  ssl_.reset(SSL_new(context_.get()));
  detail::bio_ptr bio{BIO_new(method())};
  if (!ssl_ || !bio) return false;
  BIO_set_data(bio.get(), this);
  BIO_set_init(bio.get(), 1);
  auto* both = bio.release();
  SSL_set_bio(ssl_.get(), both, both);
  SSL_set_accept_state(ssl_.get());
  context_.reset();
  return true;
}

std::optional<tls_channel::outcome> tls_channel::fill(std::size_t most) {
  auto* in = buffers().in.get();
  std::size_t size = rest_.size();
  std::copy(rest_.begin(), rest_.end(), in);
  if (!std::exchange(has_record_, false)) {
    const auto n = ::recv(socket_, in + size, most, MSG_DONTWAIT);
    if (n == 0) return outcome{state::truncated};
    if (n < 0 && would_wait(errno)) return outcome{state::readable};
    if (n < 0) return outcome{state::io_fault, 0, static_cast<unsigned long>(errno)};
    heard_ = true;
    size += static_cast<std::size_t>(n);
  }
  const auto whole = whole_records({in, size});
  if (whole == size)
    bytes{}.swap(rest_);
  else
    bytes(in + whole, in + size).swap(rest_);
  if (whole == 0) return outcome{state::readable};
  input_ = {in, whole};
  return std::nullopt;
}

void tls_channel::keep_input() {
  has_record_ = !input_.empty();
  if (has_record_) rest_.insert(rest_.begin(), input_.begin(), input_.end());
  input_ = {};
}

tls_channel::outcome tls_channel::reason(int result) const {
  switch (SSL_get_error(ssl_.get(), result)) {
  case SSL_ERROR_WANT_READ: return {state::readable};
  case SSL_ERROR_ZERO_RETURN: return {state::closed};
  default: break;
  }
  const auto code = ERR_peek_error();
  ERR_clear_error();
  return code != 0 ? outcome{state::tls_fault, 0, code} : outcome{state::io_fault, 0, ENOMEM};
}

tls_channel::outcome tls_channel::push() {
  std::size_t sent = 0;
  outcome out;
  while (sent < unsent_.size()) {
    const auto n = ::send(socket_, unsent_.data() + sent, unsent_.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      out = would_wait(errno) ? outcome{state::writable}
                              : outcome{state::io_fault, 0, static_cast<unsigned long>(errno)};
      break;
    }
    sent += static_cast<std::size_t>(n);
  }
  unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<std::ptrdiff_t>(sent));
  return out;
}

tls_channel::outcome tls_channel::handshake() {
  const output lent{*this};
  if (const auto pushed = push(); pushed.what != state::done) return pushed;
  if (ssl_ && SSL_is_init_finished(ssl_.get()) == 1) return {};
  if (const auto without = fill(handshake_receive_max)) return *without;
  ERR_clear_error();
  if (!ssl_ && !open()) return {state::io_fault, 0, ENOMEM};
  const int result = SSL_do_handshake(ssl_.get());
  const auto got = result == 1 ? outcome{} : reason(result);
  keep_input();
  const auto pushed = push();
  return got.what == state::tls_fault || pushed.what == state::done ? got : pushed;
}

bool tls_channel::has_input() const { return has_record_ || end_.has_value(); }

tls_channel::outcome tls_channel::receive(bytes& to) {
  if (end_) return *end_;
  if (const auto without = fill(receive_max)) return *without;
  const output lent{*this};
  const auto before = to.size();
  std::size_t size = before;
  to.resize(before + input_.size());  // plain text is shorter
  ERR_clear_error();
  std::size_t n = 0;
  int result = 0;
  while ((result = SSL_read_ex(ssl_.get(), to.data() + size, to.size() - size, &n)) == 1) size += n;
  to.resize(size);
  auto why = reason(result);
  input_ = {};
  (void)push();  // what remains is sent with the next answer
  if (unsent_.size() > unsent_max) why = {state::io_fault, 0, ENOBUFS};
  if (size == before) return why;
  if (why.what != state::readable) end_ = why;
  return {state::readable, size - before};
}

tls_channel::outcome tls_channel::send(byte_view plain) {
  const output lent{*this};
  std::size_t taken = 0;
  for (;;) {
    if (const auto pushed = push(); pushed.what != state::done) return {pushed.what, taken, pushed.code};
    if (taken == plain.size()) return {state::done, taken};
    ERR_clear_error();
    std::size_t n = 0;
    const int result =
        SSL_write_ex(ssl_.get(), plain.data() + taken, std::min(plain.size() - taken, send_max), &n);
    if (result != 1) return reason(result);
    taken += n;
  }
}

tls_channel::outcome tls_channel::shut_down() {
  const output lent{*this};
  ERR_clear_error();
  if (!std::exchange(said_farewell_, true)) {
    const int result = SSL_shutdown(ssl_.get());
    if (result < 0) return reason(result);
    if (result == 1) has_record_ = false;
    const auto pushed = push();
    if (result == 1 || pushed.what != state::done) return pushed;
  } else if (const auto pushed = push(); pushed.what != state::done) {
    return pushed;
  }
  if (const auto without = fill(receive_max)) return *without;
  const int result = SSL_shutdown(ssl_.get());
  const auto out = result == 1 ? outcome{} : reason(result);
  input_ = {};
  return out;
}

void tls_channel::drop_sent_chain() {
  // OpenSSL frees the stack itself with the session, however many it holds.
  auto* sent = SSL_get_peer_cert_chain(ssl_.get());
  while (sk_X509_num(sent) > 0) X509_free(sk_X509_pop(sent));
}

}  // namespace cpns::crypto
