"""Values and traits to members: all audiences as Boolean columns over one row per profile, or per account.

Audiences are evaluated each after those that it refers to (`ordering`), over wide tables of what is known of people and
of accounts (`frames`). What a condition about people asks of their accounts, and what one about accounts asks of their
users, is answered beside it by way of the links between the two (`beside`). Two runs are compared by `comparing`.
"""

from populace.audiences.beside import is_attributed
from populace.audiences.comparing import changes
from populace.audiences.evaluating import evaluate, known
from populace.audiences.frames import Accounts, Parts
from populace.audiences.ordering import needed, order

__all__ = ["Accounts", "Parts", "changes", "evaluate", "is_attributed", "known", "needed", "order"]
