#include "server/device_parser.hpp"

#include <algorithm>
#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <utility>

#include "base/private_file.hpp"
#include "base/text.hpp"
#include "server/key_text.hpp"

namespace cpns::server {
namespace {

constexpr std::array<std::string_view, 5> columns{"entity_id", "temporary_key", "strength", "owner",
                                                  "encoding"};
enum column : std::size_t { entity_column, key_column, strength_column, owner_column, encoding_column };
/// The texts of one row by column. In a list with swapped columns any of them may be a key, so all are wiped.
struct cells {
  std::array<std::optional<std::string>, columns.size()> of;
  cells() = default;
  cells(const cells&) = delete;
  cells& operator=(const cells&) = delete;
  ~cells() {
    for (auto& cell : of)
      if (cell) wipe(*cell);
  }
};
/// The fields of one line of CSV, wiped.
struct fields_of_line {
  std::vector<std::string> all;
  fields_of_line() { all.reserve(columns.size() + 1); }
  fields_of_line(const fields_of_line&) = delete;
  fields_of_line& operator=(const fields_of_line&) = delete;
  ~fields_of_line() {
    for (auto& field : all) wipe(field);
  }
};

/// `which`: the place of the name, which is not quoted: in a list without names of columns it may be a key.
std::string unknown_column(const std::string& which, std::string_view name) {
  const std::vector<std::string_view> known(columns.begin(), columns.end());
  const auto near = nearest(name, known);
  return which + " is not the name of a column" +
         (near ? "; did you mean '" + std::string{*near} + "'?" : "") +
         " (there are entity_id, temporary_key, strength, owner and encoding)";
}

std::optional<std::size_t> column_of(std::string_view name) {
  const auto it = std::find(columns.begin(), columns.end(), name);
  return it == columns.end() ? std::nullopt
                             : std::optional<std::size_t>{static_cast<std::size_t>(it - columns.begin())};
}

/// RFC 4180: fields are separated by commas; a quoted field doubles its quotes. Blanks around a bare field are
/// dropped. Returns the error, or an empty text.
std::string split_csv(std::string_view line, fields_of_line& fields) {
  for (std::size_t i = 0;; ++i) {
    auto& field = fields.all.emplace_back();
    field.reserve(line.size() + 16);  // on the heap and large enough: growing would leave a copy behind
    if (i < line.size() && line[i] == '"') {
      for (++i;; ++i) {
        if (i == line.size()) return "a quote is not closed in this line";
        if (line[i] != '"') {
          field += line[i];
        } else if (i + 1 < line.size() && line[i + 1] == '"') {
          field += line[i++];
        } else {
          break;
        }
      }
      if (++i < line.size() && line[i] != ',') return "a closing quote is not followed by a comma";
    } else {
      const auto end = std::min(line.find(',', i), line.size());
      auto bare = line.substr(i, end - i);
      if (bare.find('"') != std::string_view::npos)
        return "a field has a quote inside but does not begin with one";
      while (!bare.empty() && (bare.front() == ' ' || bare.front() == '\t')) bare.remove_prefix(1);
      while (!bare.empty() && (bare.back() == ' ' || bare.back() == '\t')) bare.remove_suffix(1);
      field = bare;
      i = end;
    }
    if (i >= line.size()) return {};
  }
}

std::string entity_fault(const cells& c) {
  const auto& text = c.of[entity_column];
  if (!text || text->empty()) return "the entity_id is missing";
  auto wrong = entity_id::fault_of(*text);
  if (wrong.empty()) return {};
  const auto& key = c.of[key_column];
  const bool swapped = key && entity_id::fault_of(*key).empty();
  return "the entity_id " + wrong + (swapped ? "; the temporary_key is an Entity ID: are they swapped?" : "");
}

std::string owner_fault(const std::string& owner, const std::string& key) {
  if (auto wrong = user_id::fault_of(owner); !wrong.empty()) return "the owner " + wrong;
  // Everybody who may read sees the owner of a device.
  if (looks_like_key(owner) && !looks_like_key(key))
    return "the owner looks like a key, and the temporary_key does not; are they swapped?";
  return {};
}

/// Makes a device of the cells. Returns the error, which quotes no cell, or an empty text.
std::string read_row(const cells& c, device_row& out) {
  if (auto wrong = entity_fault(c); !wrong.empty()) return wrong;
  out.entity = entity_id::parse(*c.of[entity_column]).value();
  const auto& strength = c.of[strength_column];
  if (!strength || strength->empty())
    return "the strength is missing: write '128bit' if the manufacturer declares 128 random bits, else "
           "'stretch'";
  if (*strength != "128bit" && *strength != "stretch") return "the strength must be '128bit' or 'stretch'";
  out.stretch = *strength == "stretch";
  const auto& key = c.of[key_column];
  if (!key || key->empty()) return "the temporary_key is missing";
  const auto& word = c.of[encoding_column];
  key_encoding encoding{};
  if (!read_key_encoding(word ? std::string_view{*word} : std::string_view{}, encoding))
    return "the encoding must be 'hex', 'base64' or 'text'";
  if (auto wrong = read_key_text(*key, encoding, out.stretch, out.temporary_key); !wrong.empty())
    return wrong;
  if (const auto& owner = c.of[owner_column]; owner && !owner->empty()) {
    if (auto wrong = owner_fault(*owner, *key); !wrong.empty()) return wrong;
    out.owner = user_id::parse(*owner).value();
  }
  return {};
}

/// The column of each field of a row.
result<std::vector<std::uint8_t>> read_header(std::string_view line) {
  fields_of_line names;
  if (auto wrong = split_csv(line, names); !wrong.empty()) return fail(errc::config_syntax, std::move(wrong));
  std::vector<std::uint8_t> order;
  for (const auto& name : names.all) {
    const auto c = column_of(name);
    if (!c)
      return fail(errc::config_unknown_key,
                  unknown_column("field " + std::to_string(order.size() + 1), name) +
                      "; the first line must have the names of the columns");
    if (std::find(order.begin(), order.end(), *c) != order.end())
      return fail(errc::config_syntax, "the column " + name + " appears twice");
    order.push_back(static_cast<std::uint8_t>(*c));
  }
  for (const std::size_t needed : {entity_column, key_column, strength_column})
    if (std::find(order.begin(), order.end(), needed) == order.end())
      return fail(errc::config_missing, "the column " + std::string{columns[needed]} + " is missing");
  return order;
}

/// Copies the pairs of one JSON object from Boost.JSON into cells. Each JSON key may appear only once.
/// Apart from the cells, no copy of the texts is kept: the buffers of this handler are wiped, and they never grow,
/// because a line longer than device_line_max is refused.
class json_row_handler {
 public:
  using error_code = boost::system::error_code;
  using view = boost::json::string_view;
  static constexpr std::size_t max_object_size = device_line_max, max_array_size = 0;
  static constexpr std::size_t max_key_size = device_line_max, max_string_size = device_line_max;

  explicit json_row_handler(cells& out) : out_(out) {
    key_.reserve(device_line_max);
    value_.reserve(device_line_max);
  }
  ~json_row_handler() {
    wipe(key_);
    wipe(value_);
  }
  json_row_handler(const json_row_handler&) = delete;
  json_row_handler& operator=(const json_row_handler&) = delete;
  /// The error text for a pair that is well formed but cannot be used; empty if there is none.
  [[nodiscard]] const std::string& fault() const { return fault_; }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code& ec) { return std::exchange(in_object_, true) ? refuse(ec) : true; }
  bool on_object_end(std::size_t, error_code&) { return true; }
  bool on_key_part(view part, std::size_t, error_code&) { return append(key_, part); }
  bool on_key(view part, std::size_t, error_code&) { return append(key_, part); }
  bool on_string_part(view part, std::size_t, error_code& ec) {
    return in_object_ ? append(value_, part) : refuse(ec);
  }
  bool on_string(view part, std::size_t, error_code& ec) {
    if (!in_object_) return refuse(ec);
    append(value_, part);
    const auto column = column_of(key_);
    if (!column)
      fault_ = unknown_column("a key of the object", key_);
    else if (out_.of[*column])
      fault_ = "the key " + key_ + " appears twice";
    else
      out_.of[*column] = value_;
    next_pair();
    if (!fault_.empty()) ec = boost::json::error::syntax;
    return fault_.empty();
  }
  bool on_null(error_code& ec) {
    next_pair();
    return in_object_ || refuse(ec);
  }
  bool on_array_begin(error_code& ec) { return refuse(ec); }
  bool on_array_end(std::size_t, error_code&) { return true; }
  bool on_number_part(view, error_code& ec) { return refuse(ec); }
  bool on_int64(std::int64_t, view, error_code& ec) { return refuse(ec); }
  bool on_uint64(std::uint64_t, view, error_code& ec) { return refuse(ec); }
  bool on_double(double, view, error_code& ec) { return refuse(ec); }
  bool on_bool(bool, error_code& ec) { return refuse(ec); }
  bool on_comment_part(view, error_code&) { return true; }
  bool on_comment(view, error_code&) { return true; }

 private:
  bool refuse(error_code& ec) const {
    ec = in_object_ ? boost::json::error::not_string : boost::json::error::not_object;
    return false;
  }
  static bool append(std::string& to, view part) {
    to.append(part.data(), part.size());
    return true;
  }
  void next_pair() {
    wipe(key_);
    wipe(value_);
  }

  cells& out_;
  std::string key_, value_, fault_;
  bool in_object_ = false;
};

/// Returns an empty text on success, else the error with its column. The error never contains a value.
[[gnu::noinline]] std::string parse_json_row(std::string_view line, cells& out) {
  boost::json::parse_options form;
  form.allow_invalid_utf8 = true;  // as in CSV: a temporary key with the encoding "text" may have any bytes
  boost::json::basic_parser<json_row_handler> parser(form, out);
  boost::system::error_code ec;
  const auto read = parser.write_some(false, line.data(), line.size(), ec);
  if (!parser.handler().fault().empty()) return parser.handler().fault();
  if (!ec && read < line.size()) ec = boost::json::error::extra_data;
  if (!ec) return {};
  return "not a JSON object of texts: " + ec.message() + " at column " + std::to_string(read + 1);
}

/// Wipes the part of the stack below the caller's frame: Boost.JSON decodes escapes in a stack buffer of
/// BOOST_JSON_STACK_BUFFER_SIZE bytes and does not wipe it, so parts of a key may be left there.
[[gnu::noinline]] void wipe_stack() {
  std::array<char, 4 * BOOST_JSON_STACK_BUFFER_SIZE> below;
  wipe(below.data(), below.size());
}

void pass_row(std::size_t line, const cells& c, row_sink& to) {
  device_row row;
  row.line = line;
  if (auto wrong = read_row(c, row); !wrong.empty())
    to.bad({line, row.entity.text(), std::move(wrong)});
  else
    to.good(std::move(row));
}

void read_json_row(std::size_t number, std::string_view line, row_sink& to) {
  cells c;
  auto wrong = parse_json_row(line, c);
  wipe_stack();
  if (wrong.empty())
    pass_row(number, c, to);
  else
    to.bad({number, {}, std::move(wrong)});
}

void read_csv_row(std::size_t number, std::string_view line, const std::vector<std::uint8_t>& order,
                  row_sink& to) {
  fields_of_line fields;
  auto wrong = split_csv(line, fields);
  if (wrong.empty() && fields.all.size() != order.size())
    wrong = "the line has " + std::to_string(fields.all.size()) + " fields, the first line has " +
            std::to_string(order.size());
  cells c;
  if (wrong.empty())
    for (std::size_t i = 0; i < order.size(); ++i) c.of[order[i]] = std::move(fields.all[i]);
  if (wrong.empty())
    pass_row(number, c, to);
  else
    to.bad({number, {}, std::move(wrong)});
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t") == std::string_view::npos; }

constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

}  // namespace

std::string fault_in(const std::string& name, std::size_t line, const std::string& text) {
  return name + (line == 0 ? "" : ":" + std::to_string(line)) + ": " + text;
}

line_splitter::line_splitter(std::size_t lines, byte_view rest) : line_splitter() {
  number_ = lines;
  rest_.append(as_text(rest));
}

status line_splitter::too_long() {
  ++number_;
  return fail(errc::config_range, "the line is longer than " + std::to_string(device_line_max) +
                                      " bytes; is this CSV or JSON Lines?");
}

status line_splitter::pass(std::string_view line, const taker& take) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (number_ == 0 && line.starts_with(byte_order_mark)) line.remove_prefix(byte_order_mark.size());
  if (line.size() > device_line_max) return too_long();
  ++number_;
  return take(line);
}

status line_splitter::feed(byte_view part, const taker& take) {
  auto left = as_text(part);
  while (!left.empty()) {
    const auto end = left.find('\n');
    const auto piece = left.substr(0, end);
    const bool whole = end != std::string_view::npos;
    // One byte more for a carriage return. The buffer never grows, which would leave a copy behind.
    if (rest_.size() + piece.size() > device_line_max + 1) return too_long();
    left.remove_prefix(whole ? end + 1 : left.size());
    if (whole && rest_.empty()) {
      CPNS_CHECK(pass(piece, take));
      continue;
    }
    rest_.append(piece);
    if (!whole) break;
    const auto done = pass(rest_, take);
    wipe(rest_);
    CPNS_CHECK(done);
  }
  return {};
}

status line_splitter::end(const taker& take) {
  if (rest_.empty()) return {};
  auto done = pass(rest_, take);
  wipe(rest_);
  return done;
}

device_parser::device_parser(std::uint64_t rows_max, const place& from)
    : rows_max_(rows_max), lines_(from.lines, from.rest.expose()), rows_(from.rows), form_(from.form),
      columns_(from.columns) {}

device_parser::place device_parser::at() const {
  return {lines_.number(), rows_, form_, columns_, secret_bytes{lines_.rest()}};
}

status device_parser::feed(byte_view part, row_sink& to) {
  return lines_.feed(part, [&](std::string_view line) { return take(line, to); });
}

status device_parser::end(row_sink& to) {
  CPNS_CHECK(lines_.end([&](std::string_view line) { return take(line, to); }));
  if (rows_ > 0) return {};
  empty_ = true;
  return fail(errc::config_missing, "the file lists no device");
}

/// The first line that is not blank shows the form.
status device_parser::begin(std::string_view line) {
  if (auto wrong = utf16_hint(as_bytes(line)); !wrong.empty())
    return fail(errc::config_syntax, std::move(wrong));
  if (line.find_first_not_of(" \t") == line.find('{')) {
    form_ = form::json_lines;
    return {};
  }
  CPNS_TRY(columns_, read_header(line));
  form_ = form::csv;
  return {};
}

status device_parser::take(std::string_view line, row_sink& to) {
  if (is_blank(line)) return {};
  if (form_ == form::unknown) {
    CPNS_CHECK(begin(line));
    if (form_ == form::csv) return {};
  }
  if (rows_ == rows_max_)
    return fail(errc::config_range, "more than " + std::to_string(rows_max_) + " rows; split the file");
  ++rows_;
  if (form_ == form::json_lines)
    read_json_row(lines_.number(), line, to);
  else
    read_csv_row(lines_.number(), line, columns_, to);
  return {};
}

}  // namespace cpns::server
