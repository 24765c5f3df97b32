"""The symbol table of the built-in tokenizer.

Frozen: the built-in voice's weights depend on each symbol's place, so another table gets another name. It
covers what espeak-ng 1.52 gives for English, German, French, Spanish, Italian, Portuguese, Dutch, Swedish,
Polish, Russian, Japanese, Korean and Mandarin, and the IPA chart of 2020. One symbol is one code point.
"""

SPECIALS = ("<unk>", "<bos>", "</eos>", "<mask>")

PUNCTUATION = " .,!?;:—–…-'\"«»“”‘’()[]{}¡¿。，、！？"
SUPRASEGMENTALS = "ˈˌːˑ|‖‿\u0361\u035c"
LETTERS = "abcdefghijklmnopqrstuvwxyz"
CONSONANTS = "ɡʔɓɗʄɠʛɖɟɢɴŋɲɳɱɸβθðʃʒʂʐçʝɣχʁħʕɦɬɮʋɹɻɰɭʎʟɾɽɺʀʙɥʍʜʢʡɕʑɧɫʘǀǃǂǁʈ"
VOWELS = "æɑɒɐɔəɘɵɚɛɜɝɞɨɪɯɤøœɶʉʊʌʏᵻᵿ"
COMPOSED = "ãẽĩõũỹäëïöüáàâåéèêíìóòôúùñ"
MODIFIERS = "ʰʲʷˠˤʱⁿˡʼ˞ᵝᵊ˔˕˖˗"
DIACRITICS = (
    "\u0303\u0329\u032a\u031e\u0325\u030a\u032c\u0324\u0330\u033c\u0334\u031d\u0318"
    "\u0319\u033a\u033b\u031f\u0320\u0308\u033d\u032f\u0306\u031a\u0339\u031c\u0327"
)
TONES = "˥˦˧˨˩↑↓→↗↘\u0301\u0300\u0302\u030c\u0304"
DIGITS = "0123456789^"

SYMBOLS: tuple[str, ...] = (
    *SPECIALS,
    *PUNCTUATION,
    *SUPRASEGMENTALS,
    *LETTERS,
    *CONSONANTS,
    *VOWELS,
    *COMPOSED,
    *MODIFIERS,
    *DIACRITICS,
    *TONES,
    *DIGITS,
)
