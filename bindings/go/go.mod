module kms

go 1.19
