#include "cli/device_rows.hpp"

#include <algorithm>
#include <array>
#include <boost/json/basic_parser_impl.hpp>
#include <unordered_map>
#include <utility>

#include "cli/key_text.hpp"
#include "config/values.hpp"
#include "crypto/key_schedule.hpp"

namespace cpns::cli {
namespace {

constexpr std::array<std::string_view, 5> columns{"entity_id", "temporary_key", "strength", "owner",
                                                  "encoding"};
enum column : std::size_t { entity_column, key_column, strength_column, owner_column, encoding_column };
/// The texts of one row by column; the key is wiped.
struct cells {
  std::array<std::optional<std::string>, columns.size()> of;
  cells() = default;
  cells(const cells&) = delete;
  cells& operator=(const cells&) = delete;
  ~cells() {
    if (of[key_column]) wipe(*of[key_column]);
  }
};

std::string unknown_column(std::string_view name) {
  const std::vector<std::string_view> known(columns.begin(), columns.end());
  const auto near = nearest(name, known);
  return shown(name) + " is not a column" + (near ? "; did you mean '" + std::string{*near} + "'?" : "") +
         " (there are entity_id, temporary_key, strength, owner and encoding)";
}

std::optional<std::size_t> column_of(std::string_view name) {
  const auto it = std::find(columns.begin(), columns.end(), name);
  return it == columns.end() ? std::nullopt
                             : std::optional<std::size_t>{static_cast<std::size_t>(it - columns.begin())};
}

/// Reads lines of at most device_line_max bytes. Each line is wiped before the next one is read; the
/// destructor wipes the read buffer.
class line_reader {
 public:
  explicit line_reader(const byte_source& in) : in_(in) { text_.reserve(device_line_max + 2); }
  ~line_reader() {
    wipe(text_);
    wipe(block_);
  }
  line_reader(const line_reader&) = delete;
  line_reader& operator=(const line_reader&) = delete;

  enum class outcome : std::uint8_t { line, end, too_long };
  result<outcome> next() {
    wipe(text_);
    ++number_;
    for (;;) {
      CPNS_TRY(const auto c, get());
      if (!c) {
        if (text_.empty()) return outcome::end;
        break;
      }
      if (*c == '\n') break;
      if (text_.size() > device_line_max) return outcome::too_long;
      text_ += *c;
    }
    if (text_.ends_with('\r')) text_.pop_back();
    if (number_ == 1 && text_.starts_with("\xef\xbb\xbf")) text_.erase(0, 3);
    return text_.size() > device_line_max ? outcome::too_long : outcome::line;
  }
  [[nodiscard]] std::string_view text() const { return text_; }
  [[nodiscard]] std::size_t number() const { return number_; }

 private:
  result<std::optional<char>> get() {
    if (at_ == size_) {
      CPNS_TRY(size_, in_(block_));
      at_ = 0;
      if (size_ == 0) return std::optional<char>{};
    }
    return std::optional<char>{static_cast<char>(block_[at_++])};
  }

  const byte_source& in_;
  bytes block_ = bytes(4096);
  std::size_t at_ = 0, size_ = 0;
  std::string text_;
  std::size_t number_ = 0;
};

/// RFC 4180: fields are separated by commas; a quoted field doubles its quotes. Blanks around a bare field are
/// dropped. Returns the error, or an empty text.
std::string split_csv(std::string_view line, std::vector<std::string>& fields) {
  fields.reserve(columns.size() + 1);
  for (std::size_t i = 0;; ++i) {
    std::string field;
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
    fields.push_back(std::move(field));
    if (i >= line.size()) return {};
  }
}

/// Makes a device of the cells. Returns the error, or an empty text.
std::string read_row(const cells& c, device_row& out) {
  const auto& entity_text = c.of[entity_column];
  if (!entity_text || entity_text->empty()) return "the entity_id is missing";
  auto entity = entity_id::parse(*entity_text);
  if (!entity) return entity.error().detail;
  out.entity = std::move(*entity);
  const auto& strength = c.of[strength_column];
  if (!strength || strength->empty())
    return "the strength is missing: write '128bit' if the manufacturer declares 128 random bits, else "
           "'stretch'";
  if (*strength != "128bit" && *strength != "stretch")
    return "the strength must be '128bit' or 'stretch', not " + shown(*strength);
  out.stretch = *strength == "stretch";
  const auto& key = c.of[key_column];
  if (!key || key->empty()) return "the temporary_key is missing";
  const auto& word = c.of[encoding_column];
  key_encoding encoding{};
  if (!read_key_encoding(word ? std::string_view{*word} : std::string_view{}, encoding))
    return "the encoding must be 'hex', 'base64' or 'text', not " + shown(*word);
  if (auto wrong = read_key_text(*key, encoding, out.stretch, out.temporary_key); !wrong.empty())
    return wrong;
  if (const auto& owner = c.of[owner_column]; owner && !owner->empty()) {
    auto user = user_id::parse(*owner);
    if (!user) return user.error().detail;
    out.owner = std::move(*user);
  }
  return {};
}

class collector {
 public:
  void bad(std::size_t line, std::string entity, std::string text) {
    rows_.bad.push_back({line, std::move(entity), std::move(text)});
  }
  void add(std::size_t line, const cells& c) {
    device_row row;
    row.line = line;
    if (auto wrong = read_row(c, row); !wrong.empty()) {
      bad(line, row.entity.text(), std::move(wrong));
      return;
    }
    const auto [it, fresh] = seen_.emplace(row.entity, line);
    if (!fresh) {
      bad(line, row.entity.text(), "the device is in line " + std::to_string(it->second) + " already");
      return;
    }
    rows_.good.push_back(std::move(row));
  }
  [[nodiscard]] std::size_t count() const { return rows_.good.size() + rows_.bad.size(); }
  device_rows take() { return std::move(rows_); }

 private:
  device_rows rows_;
  std::unordered_map<entity_id, std::size_t> seen_;
};

/// The column of each field of a row.
result<std::vector<std::size_t>> read_header(std::string_view line, const std::string& place) {
  std::vector<std::string> names;
  if (auto wrong = split_csv(line, names); !wrong.empty()) return fail(errc::config_syntax, place + wrong);
  std::vector<std::size_t> order;
  for (const auto& name : names) {
    const auto c = column_of(name);
    if (!c)
      return fail(errc::config_unknown_key,
                  place + unknown_column(name) + "; the first line must have the names of the columns");
    if (std::find(order.begin(), order.end(), *c) != order.end())
      return fail(errc::config_syntax, place + "the column " + name + " appears twice");
    order.push_back(*c);
  }
  for (const std::size_t needed : {entity_column, key_column, strength_column})
    if (std::find(order.begin(), order.end(), needed) == order.end())
      return fail(errc::config_missing, place + "the column " + std::string{columns[needed]} + " is missing");
  return order;
}

void read_csv_row(const line_reader& line, const std::vector<std::size_t>& order, collector& rows) {
  std::vector<std::string> fields;
  auto wrong = split_csv(line.text(), fields);
  if (wrong.empty() && fields.size() != order.size())
    wrong = "the line has " + std::to_string(fields.size()) + " fields, the first line has " +
            std::to_string(order.size());
  cells c;
  if (wrong.empty())
    for (std::size_t i = 0; i < fields.size(); ++i) c.of[order[i]] = std::move(fields[i]);
  for (auto& f : fields) wipe(f);
  if (wrong.empty())
    rows.add(line.number(), c);
  else
    rows.bad(line.number(), {}, std::move(wrong));
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
      fault_ = unknown_column(key_);
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

void read_json_row(const line_reader& line, collector& rows) {
  cells c;
  auto wrong = parse_json_row(line.text(), c);
  wipe_stack();
  if (wrong.empty())
    rows.add(line.number(), c);
  else
    rows.bad(line.number(), {}, std::move(wrong));
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t") == std::string_view::npos; }

}  // namespace

result<device_rows> read_device_rows(const byte_source& in, const std::string& name) {
  line_reader line(in);
  collector rows;
  std::optional<std::vector<std::size_t>> order;  // of a CSV file
  bool json = false;
  for (;;) {
    CPNS_TRY(const auto got, line.next());
    const auto place = name + ":" + std::to_string(line.number()) + ": ";
    if (got == line_reader::outcome::end) break;
    if (got == line_reader::outcome::too_long)
      return fail(errc::config_range, place + "the line is longer than " + std::to_string(device_line_max) +
                                          " bytes; is this CSV or JSON Lines?");
    if (is_blank(line.text())) continue;
    if (!json && !order) {
      if (auto wrong = utf16_hint(as_bytes(line.text())); !wrong.empty())
        return fail(errc::config_syntax, place + wrong);
      json = line.text().find_first_not_of(" \t") == line.text().find('{');
      if (!json) {
        CPNS_TRY(order, read_header(line.text(), place));
        continue;
      }
    }
    if (rows.count() == device_rows_max)
      return fail(errc::config_range,
                  place + "more than " + std::to_string(device_rows_max) + " rows; split the file");
    if (json)
      read_json_row(line, rows);
    else
      read_csv_row(line, *order, rows);
  }
  if (rows.count() == 0) return fail(errc::config_missing, name + ": the file lists no device");
  return rows.take();
}

result<device_rows> load_device_rows(const private_file& file) {
  return read_device_rows([&file](std::span<std::uint8_t> to) { return file.read(to); }, file.name());
}

result<device_rows> load_device_rows(const std::filesystem::path& file) {
  CPNS_TRY(const auto open, private_file::open(file));
  return load_device_rows(open);
}

result<device_row> load_temporary_key(const std::filesystem::path& file, const entity_id& entity) {
  CPNS_TRY(const auto open, private_file::open(file));
  const byte_source source = [&open](std::span<std::uint8_t> to) { return open.read(to); };
  line_reader line(source);
  CPNS_TRY(const auto first, line.next());
  if (first == line_reader::outcome::too_long)
    return fail(errc::config_range, file.string() + ": the line is too long for a key");
  if (first == line_reader::outcome::end || line.text().empty())
    return fail(errc::config_syntax, file.string() + ": the first line is empty; it has to be the key");
  if (auto wrong = utf16_hint(as_bytes(line.text())); !wrong.empty())
    return fail(errc::config_syntax, file.string() + ": " + wrong);
  constexpr std::string_view word = " stretch";
  auto text = line.text();
  device_row row;
  row.line = 1;
  row.entity = entity;
  row.stretch = text.ends_with(word);
  if (row.stretch) text.remove_suffix(word.size());
  if (auto wrong = read_key_text(text, key_encoding::none, row.stretch, row.temporary_key); !wrong.empty())
    return fail(errc::config_range, file.string() + ": " + wrong);
  for (;;) {
    CPNS_TRY(const auto more, line.next());
    if (more == line_reader::outcome::end) return row;
    if (more == line_reader::outcome::too_long || !is_blank(line.text()))
      return fail(errc::config_syntax, file.string() + ": the file has a second line; a key is one line");
  }
}

secret32 kept_key(const crypto::suite& s, const device_row& row) {
  return row.stretch ? crypto::stretch_temporary_key(s, row.entity, row.temporary_key.expose())
                     : crypto::derive_temporary_key(s, row.entity, row.temporary_key.expose());
}

}  // namespace cpns::cli
